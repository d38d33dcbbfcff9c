/**
 * Answers by fixed rules, for when no language model can be asked. They follow from the request alone, so that the
 * same request has the same answer; they are honest about what they are and never pretend to have understood.
 */

import type { Clock } from '../../../runtime/clock.ts';
import type { AnalyzeRequest, CodeRequest, PlanRequest, Request, Review, ReviewRequest, Step } from '../messages.ts';
import { type Body, measured, planBody } from '../questions.ts';

/** The rule-based answer to a request. */
export function ruleBasedBody(request: Request, clock: Clock): Body {
  const at = new Date(clock.now()).toISOString();
  switch (request.type) {
    case 'plan':
      return planBody(request.payload.task, planSteps(request.payload), at);
    case 'code':
      return codeBody(request.payload, at);
    case 'analyze':
      return analysisBody(request.payload, at);
    case 'review':
      return reviewBody(request.payload, at);
  }
}

/** Words in a task that tell what it is about, and what the design and the tests then have to cover. */
const topics: readonly { readonly words: RegExp; readonly design: string; readonly test: string }[] = [
  { words: /\b(rest|http|api|endpoint|grpc|graphql)\b/i, design: 'resources and error answers', test: 'each endpoint' },
  { words: /\b(database|sql|postgres|schema|storage|store)\b/i, design: 'data model', test: 'migrations' },
  { words: /\b(ui|page|frontend|dashboard|website|app)\b/i, design: 'screens and states', test: 'user journeys' },
  { words: /\b(auth|login|oauth|token|password|security)\b/i, design: 'trust boundaries', test: 'refused access' },
  { words: /\b(cli|command|script|tool)\b/i, design: 'commands and exit codes', test: 'wrong usage' },
  { words: /\b(train|model|dataset|ml|llm|agent)\b/i, design: 'data and evaluation', test: 'a held-out set' },
  { words: /\b(deploy|docker|kubernetes|ci|pipeline)\b/i, design: 'environments and rollback', test: 'a rollback' },
  {
    words: /\b(refactor|migrate|port|rewrite|upgrade)\b/i,
    design: 'steps that stay releasable',
    test: 'old behaviour',
  },
  { words: /\b(bug|fix|crash|error|leak)\b/i, design: 'the smallest safe change', test: 'the reported failure' },
  { words: /\b(fast|slow|performance|latency|throughput|cache)\b/i, design: 'the budget to meet', test: 'load' },
];

function planSteps({ task, constraints, contextFiles }: PlanRequest): Step[] {
  const matched = topics.filter(({ words }) => words.test(task));
  const design = matched.map((topic) => topic.design);
  const tests = matched.map((topic) => topic.test);
  const within = constraints.length === 0 ? '' : ` within ${constraints.length} constraint(s)`;
  return [
    {
      order: 1,
      phase: 'Analysis',
      action: 'analyze',
      agent: 'gemini',
      description: `Find out what "${task}" asks for, and what it leaves open`,
      params: { task, contextFiles },
    },
    {
      order: 2,
      phase: 'Design',
      action: 'design',
      agent: 'claude',
      description: `Design "${task}"${within}${listed(': ', design)}`,
      params: { task, constraints, cover: design },
    },
    {
      order: 3,
      phase: 'Implementation',
      action: 'code',
      agent: 'claude',
      description: `Write what the design of "${task}" names`,
      params: { task },
    },
    {
      order: 4,
      phase: 'Testing',
      action: 'execute',
      agent: 'codex',
      description: `Test "${task}"${listed(', above all ', tests)}`,
      params: { task, cover: tests },
    },
    {
      order: 5,
      phase: 'Review',
      action: 'review',
      agent: 'claude',
      description: `Review the outcome of "${task}"${constraints.length === 0 ? '' : ' against its constraints'}`,
      params: { task, constraints },
    },
  ];
}

function listed(lead: string, items: readonly string[]): string {
  return items.length === 0 ? '' : `${lead}${items.join(', ')}`;
}

/** How a language writes a comment line and a function that is yet to be written. */
const skeletons: readonly { readonly languages: RegExp; readonly comment: string; readonly body: string }[] = [
  { languages: /^(python|py)$/, comment: '# ', body: 'def main():\n    raise NotImplementedError\n' },
  {
    languages: /^(javascript|js|typescript|ts)$/,
    comment: '// ',
    body: "export function main() {\n  throw new Error('not written yet');\n}\n",
  },
  { languages: /^go$/, comment: '// ', body: 'package main\n\nfunc main() {\n\tpanic("not written yet")\n}\n' },
  { languages: /^rust$/, comment: '// ', body: 'fn main() {\n    unimplemented!();\n}\n' },
  { languages: /^(bash|sh|shell|ruby)$/, comment: '# ', body: "echo 'not written yet'\nexit 1\n" },
  { languages: /^sql$/, comment: '-- ', body: '' },
];

function codeBody({ description, language }: CodeRequest, generatedAt: string) {
  const skeleton = skeletons.find(({ languages }) => languages.test(language.toLowerCase()));
  const comment = skeleton?.comment ?? '// ';
  const wanted = description
    .split('\n')
    .map((line) => `${comment}${line}`)
    .join('\n');
  return {
    language,
    code: `${wanted}\n${skeleton?.body ?? ''}`,
    description: `A skeleton only: no language model wrote "${firstLine(description)}"`,
    generatedAt,
  };
}

function analysisBody({ content, analysisType }: AnalyzeRequest, analyzedAt: string) {
  const lines = content.split('\n');
  const words = content.split(/\s+/).filter((word) => word !== '').length;
  const open = lines.filter((line) => /\b(TODO|FIXME|TBD|XXX)\b/.test(line)).length;
  const questions = lines.filter((line) => line.trimEnd().endsWith('?')).length;
  const findings = [
    ...(open === 0
      ? []
      : [
          {
            category: 'completeness',
            severity: 'medium' as const,
            description: `${open} line(s) are marked as unfinished`,
            suggestion: 'Finish them, or say that they are out of scope',
          },
        ]),
    ...(questions === 0
      ? []
      : [
          {
            category: 'clarity',
            severity: 'low' as const,
            description: `${questions} line(s) ask an open question`,
            suggestion: 'Answer them before work starts',
          },
        ]),
  ];
  return {
    ...measured(analysisType, content),
    findings,
    summary: `${lines.length} line(s), ${words} word(s), ${findings.length} finding(s) by fixed rules; nothing was understood`,
    analyzedAt,
  };
}

type Issue = Review['issues'][number];

const smells: readonly { readonly pattern: RegExp; readonly issue: Omit<Issue, 'line'> }[] = [
  {
    pattern: /\beval\s*\(/,
    issue: {
      type: 'security',
      severity: 'high',
      message: 'eval runs whatever it is given',
      suggestion: 'Parse the input, or call the function directly',
    },
  },
  {
    pattern: /(password|secret|api_?key|token)\s*[:=]\s*['"][^'"]{4,}['"]/i,
    issue: {
      type: 'security',
      severity: 'critical',
      message: 'a secret stands in the code',
      suggestion: 'Read it from the environment, and replace the leaked one',
    },
  },
  {
    pattern: /shell\s*=\s*True|os\.system\s*\(|child_process.*\bexec\s*\(/,
    issue: {
      type: 'security',
      severity: 'high',
      message: 'a command goes through a shell',
      suggestion: 'Pass the program and its arguments as a list',
    },
  },
  {
    pattern: /^\s*except\s*:|catch\s*(\(\w*\))?\s*\{\s*\}/,
    issue: {
      type: 'reliability',
      severity: 'medium',
      message: 'every error is swallowed',
      suggestion: 'Catch what you expect, and let the rest through',
    },
  },
  {
    pattern: /\b(TODO|FIXME|XXX)\b/,
    issue: {
      type: 'completeness',
      severity: 'low',
      message: 'marked as unfinished',
      suggestion: 'Finish it, or track it where work is tracked',
    },
  },
  {
    pattern: /^.{141,}$/,
    issue: { type: 'style', severity: 'info', message: 'a very long line', suggestion: 'Break it' },
  },
];

const deductions: Readonly<Record<Issue['severity'], number>> = {
  info: 0.1,
  low: 0.5,
  medium: 1,
  high: 2,
  critical: 4,
};
const issuesMax = 100;

function reviewBody({ code, language, reviewType }: ReviewRequest, reviewedAt: string) {
  const issues: Issue[] = [];
  for (const [index, line] of code.split('\n').entries())
    for (const { pattern, issue } of smells)
      if (issues.length < issuesMax && pattern.test(line)) issues.push({ ...issue, line: index + 1 });
  const score = issues.reduce((left, { severity }) => left - deductions[severity], 10);
  return {
    language,
    reviewType,
    codeLength: code.length,
    issues,
    overallScore: Math.max(0, Math.round(score * 10) / 10),
    reviewedAt,
  };
}

function firstLine(text: string): string {
  const [first = ''] = text.split('\n');
  return first.length > 120 ? `${first.slice(0, 119)}…` : first;
}
