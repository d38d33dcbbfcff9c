type Call = (...given: unknown[]) => Promise<unknown>;

/**
 * A part of an engine with each of its methods wrapped: once, when it is first asked for, because every call of the
 * engine passes here. The method itself is looked up anew at each call.
 */
export function around<Part extends object>(part: Part, wrap: (call: Call, name: string) => Call): Part {
  const wrapped = new Map<string | symbol, Call>();
  return new Proxy(part, {
    get(target, name) {
      const known = wrapped.get(name);
      if (known !== undefined) return known;
      const there: unknown = Reflect.get(target, name);
      if (typeof there !== 'function') return there;
      const call = wrap((...given) => Reflect.apply(Reflect.get(target, name) as Call, target, given), String(name));
      wrapped.set(name, call);
      return call;
    },
  });
}
