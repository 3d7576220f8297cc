/** Who is due first, of a thousand: a heap, so that neither a question nor an answer looks at all of them. */
export type Due = { readonly name: string; readonly at: number };

export type DueQueue = {
  /** From now on `name` is due at this time; what was said of it before is left in and is the caller's to pass over. */
  readonly put: (name: string, at: number) => void;
  readonly first: () => Due | undefined;
  readonly drop: () => void;
};

export function openDueQueue(): DueQueue {
  const heap: Due[] = [];
  const at = (n: number): number => heap[n]?.at ?? Number.POSITIVE_INFINITY;

  const swap = (a: number, b: number): void => {
    [heap[a], heap[b]] = [heap[b] as Due, heap[a] as Due];
  };
  const rise = (from: number): void => {
    for (let n = from; n > 0; ) {
      const parent = (n - 1) >> 1;
      if (at(parent) <= at(n)) return;
      swap(n, parent);
      n = parent;
    }
  };
  const sink = (): void => {
    for (let n = 0; ; ) {
      const child = at(2 * n + 2) < at(2 * n + 1) ? 2 * n + 2 : 2 * n + 1;
      if (at(n) <= at(child)) return;
      swap(n, child);
      n = child;
    }
  };

  return {
    put: (name, time) => {
      heap.push({ name, at: time });
      rise(heap.length - 1);
    },
    first: () => heap[0],
    drop: () => {
      const last = heap.pop();
      if (last === undefined || heap.length === 0) return;
      heap[0] = last;
      sink();
    },
  };
}
