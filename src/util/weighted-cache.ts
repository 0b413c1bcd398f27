/** What was made last for a key, up to a total weight; what was not asked for the longest time goes first. */
export class WeightedCache<Value> {
  readonly #most: number;
  readonly #entries = new Map<string, { readonly value: Promise<Value>; weight: number }>();

  /** @param most Sum of the weights that are kept; a single value may be heavier, and is then kept alone. */
  constructor(most: number) {
    this.#most = most;
  }

  /** The value of a key, made where there is none. Who asks while it is made waits for the same one; a failure is not kept. */
  get(key: string, make: () => Promise<Value>, weigh: (value: Value) => number): Promise<Value> {
    const found = this.#entries.get(key);
    const entry = found ?? { value: make(), weight: 0 };
    // A map walks its keys in the order in which they were put.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (found === undefined) void this.#settle(key, entry, weigh);
    return entry.value;
  }

  async #settle(
    key: string,
    entry: { readonly value: Promise<Value>; weight: number },
    weigh: (value: Value) => number,
  ): Promise<void> {
    try {
      entry.weight = weigh(await entry.value);
      this.#trim(key);
    } catch {
      this.#entries.delete(key);
    }
  }

  #trim(newest: string): void {
    let total = 0;
    for (const { weight } of this.#entries.values()) total += weight;
    for (const [key, { weight }] of this.#entries) {
      if (total <= this.#most) return;
      if (key === newest || weight === 0) continue;
      this.#entries.delete(key);
      total -= weight;
    }
  }
}
