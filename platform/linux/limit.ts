/** So many at a time, the others in the order in which they came. */
export type Limit = <T>(job: () => Promise<T>) => Promise<T>;

/** A job below the limit begins within the call, so that what is sent keeps its order. */
export function limited(most: number): Limit {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async job => {
    if (running >= most) await new Promise<void>(resolve => waiting.push(resolve));
    else running += 1;
    try {
      return await job();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
