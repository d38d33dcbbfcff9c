/**
 * Which addresses a pattern means: `*` stands for any characters of one segment, `**` for any segments, none included.
 * Backtracking goes to the last wildcard only, so no pattern takes more than pattern × address steps.
 */
export function addressGlob(pattern: string): (address: string) => boolean {
  const segments = segmentsOf(pattern);
  return (address) =>
    matchesWild(
      segments,
      segmentsOf(address),
      (part) => part === '**',
      (part, segment) =>
        matchesWild(
          part,
          segment,
          (character) => character === '*',
          (left, right) => left === right,
        ),
    );
}

const segmentsOf = (text: string): string[] => text.replace(/^\//, '').split('/');

function matchesWild<Pattern, Item>(
  pattern: ArrayLike<Pattern>,
  items: ArrayLike<Item>,
  isWild: (part: Pattern) => boolean,
  matches: (part: Pattern, item: Item) => boolean,
): boolean {
  let at = 0;
  let index = 0;
  let wildAt = -1;
  let wildIndex = 0;
  while (index < items.length) {
    const part = at < pattern.length ? (pattern[at] as Pattern) : undefined;
    if (part !== undefined && isWild(part)) {
      wildAt = at++;
      wildIndex = index;
    } else if (part !== undefined && matches(part, items[index] as Item)) {
      at++;
      index++;
    } else if (wildAt >= 0) {
      at = wildAt + 1;
      index = ++wildIndex;
    } else return false;
  }
  while (at < pattern.length && isWild(pattern[at] as Pattern)) at++;
  return at === pattern.length;
}
