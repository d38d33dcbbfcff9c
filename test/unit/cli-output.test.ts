import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pairs, table } from '../../ops/cli/output.ts';
import { createProgram } from '../../ops/cli/program.ts';
import { drawTree, stateText, type TreeNode } from '../../ops/cli/tree.ts';

const main = fileURLToPath(new URL('../../ops/cli/main.ts', import.meta.url));

function troupe(...words: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, ...words], { encoding: 'utf8', timeout: 60_000 });
}

const node = (address: string, children: TreeNode[] = [], more: Partial<TreeNode> = {}): TreeNode => ({
  address,
  kind: 'supervisor',
  role: 'supervisor',
  status: 'running',
  state: null,
  incarnation: 1,
  restarts: 0,
  thread: null,
  children,
  ...more,
});

describe('what commands print', () => {
  it('draws the tree with state, thread, life and restarts', () => {
    const claude = node('/agents/claude', [], {
      kind: 'agent',
      state: { busy: 'calling' },
      thread: 2,
      incarnation: 4,
      restarts: 3,
    });
    const drawn = drawTree(node('/', [node('/agents', [claude]), node('/infra', [], { incarnation: 0 })]));
    assert.deepEqual(drawn.split('\n'), [
      'ADDRESS       KIND        STATUS   STATE         THREAD  LIFE  RESTARTS',
      '/             supervisor  running  -             -       1     0',
      '├─ agents     supervisor  running  -             -       1     0',
      '│  └─ claude  agent       running  busy.calling  2       4     3',
      '└─ infra      supervisor  running  -             -       -     0',
    ]);
  });

  it('writes plain, nested and parallel states on one line', () => {
    assert.equal(stateText('idle'), 'idle');
    assert.equal(stateText({ a: { b: 'c' } }), 'a.b.c');
    assert.equal(stateText({ a: 'b', c: {} }), 'a.b & c');
    assert.equal(stateText(null), '-');
  });

  it('lines columns up and leaves no blanks at the end', () => {
    assert.equal(
      table(
        ['A', 'B'],
        [
          ['long one', ''],
          ['x', 'y'],
        ],
      ),
      'A         B\nlong one\nx         y',
    );
    assert.equal(
      pairs([
        ['a', '1'],
        ['long', '2'],
      ]),
      'a     1\nlong  2',
    );
  });
});

describe('the command line', () => {
  it('has the commands, each with help', async () => {
    const { commands } = await createProgram();
    const names = commands.map((command) => command.name());
    for (const name of 'up down status tree actor tell ask stream doctor config test completion'.split(' '))
      assert(names.includes(name), name);
    for (const command of commands) assert.notEqual(command.description(), '', command.name());
  });

  it('names the nearest command and flag to a mistyped one, on stderr, with exit code 2', () => {
    const cases: [string[], RegExp][] = [
      [['statsu'], /unknown command 'statsu'\n\(Did you mean status\?\)/],
      [['status', '--ouput', 'json'], /unknown option '--ouput'\n\(Did you mean --output\?\)/],
      [['config', 'shwo'], /Did you mean show/],
      [['status', '-o', 'xml'], /Allowed choices are table, json, jsonl/],
      [['ask', '/a'], /missing required argument 'type'/],
      [['status', 'extra'], /too many arguments/],
    ];
    for (const [words, told] of cases) {
      const { status, stdout, stderr } = troupe(...words);
      assert.equal(status, 2, words.join(' '));
      assert.equal(stdout, '');
      assert.match(stderr, told);
    }
  });

  it('prints help and version on stdout, with every exit code', () => {
    const help = troupe('--help');
    assert.equal(help.status, 0);
    for (const code of [0, 1, 2, 3, 4, 5, 99, 124, 130]) assert.match(help.stdout, new RegExp(`^ +${code}  `, 'm'));
    assert.match(troupe('--version').stdout, /^\d+\.\d+\.\d+\n$/);
  });

  it('completes commands and flags in bash, as bash itself sees it', () => {
    const script = troupe('completion', 'bash').stdout;
    const complete = (...words: string[]): string =>
      spawnSync(
        'bash',
        [
          '-c',
          `${script}\nCOMP_WORDS=(troupe "$@"); COMP_CWORD=$#; _troupe; echo "\${COMPREPLY[*]}"`,
          'bash',
          ...words,
        ],
        { encoding: 'utf8' },
      ).stdout.trim();
    assert.equal(complete('sta'), 'status');
    assert.equal(complete('config', 's'), 'show');
    assert.equal(complete('up', '--grpc'), '--grpc-addr');
    assert.equal(complete('ask', '/agents/claude', '--time'), '--timeout');
    for (const shell of ['zsh', 'fish']) assert.match(troupe('completion', shell).stdout, /grpc-addr/);
  });
});
