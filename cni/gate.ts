/** What calls wait for: a value that is not there yet, or the reason why. */
export type Gate<T extends object> = {
  readonly now: () => T | { readonly reason: string };
  readonly set: (value: T | { readonly reason: string }) => void;
  /** The value as soon as it is there, or after `ms` the reason of then. */
  readonly within: (ms: number) => Promise<T | { readonly reason: string }>;
  /** Nobody waits any longer: the reason is final. */
  readonly end: (reason: string) => void;
};

export function newGate<T extends object>(reason: string): Gate<T> {
  let value: T | { readonly reason: string } = { reason };
  const waiting: (() => void)[] = [];
  const wakeAll = (): void => {
    for (const wake of waiting.splice(0)) wake();
  };
  const within = (ms: number): Promise<T | { readonly reason: string }> =>
    'reason' in value && ms > 0
      ? new Promise(resolve => {
          const done = (): void => {
            clearTimeout(timer);
            resolve(value);
          };
          const timer = setTimeout(done, ms);
          waiting.push(done);
        })
      : Promise.resolve(value);
  return {
    now: () => value,
    within,
    set: next => {
      value = next;
      if (!('reason' in next)) wakeAll();
    },
    end: reason => {
      value = { reason };
      wakeAll();
    },
  };
}
