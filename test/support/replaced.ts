/** The same JSON with one of its places, counted through, replaced. */
export function replaced(json: unknown, at: number, value: unknown): unknown {
  const places: ((put: unknown) => void)[] = [];
  const root = { json };
  const visit = (holder: Record<string, unknown>, key: string): void => {
    places.push((put) => Object.defineProperty(holder, key, { value: put, enumerable: true, writable: true }));
    const inner = holder[key];
    if (typeof inner === 'object' && inner !== null)
      for (const name of Object.keys(inner)) visit(inner as Record<string, unknown>, name);
  };
  visit(root as Record<string, unknown>, 'json');
  places[at % places.length]?.(value);
  return root.json;
}
