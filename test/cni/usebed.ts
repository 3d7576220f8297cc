/** The node that a test file works on: made before its tests, and as new after each of them. */
import { after, afterEach, before } from 'node:test';
import { type Bed, clean, makeBridge, startBed } from './bed.ts';

export type UsedBed = Bed & {
  /** After `stop`. */
  readonly start: (...args: Parameters<typeof startBed>) => Promise<void>;
  /** As when the agent starts again. */
  readonly restart: (...args: Parameters<typeof startBed>) => Promise<void>;
};

export type UseOptions = {
  /** Of each start. */
  readonly start?: () => Parameters<typeof startBed>;
  /** More that the tests need, once the server runs: for the first of them, and as new after each. */
  readonly made?: () => Promise<void>;
  /** What `clean` knows nothing of; the server is stopped. */
  readonly cleaned?: () => Promise<void>;
  /** False: one server and its pods for all tests. */
  readonly each?: boolean;
  /** Nothing is made where the tests are skipped. */
  readonly skip?: boolean;
};

/** Sets the hooks up; call it at the top of a file. What it returns is there once the tests run. */
export function useBed(options: UseOptions = {}): UsedBed {
  const { each = true, skip = false } = options;
  let bed: Bed | undefined;
  const now = (): Bed => {
    if (bed === undefined) throw new Error('the bed is there once the tests run');
    return bed;
  };
  const start: UsedBed['start'] = async (...args) => {
    bed = await startBed(...(args.length > 0 ? args : (options.start?.() ?? [])));
  };
  const stop = async (): Promise<void> => {
    const old = bed;
    bed = undefined;
    await old?.stop();
  };
  const end = async (): Promise<void> => {
    await stop();
    await options.cleaned?.();
    await clean();
  };

  if (!skip) {
    before(async () => {
      await makeBridge();
      await start();
      await options.made?.();
    });
    if (each)
      afterEach(async () => {
        await end();
        await start();
        await options.made?.();
      });
    after(end);
  }

  return {
    get kernel() {
      return now().kernel;
    },
    get cni() {
      return now().cni;
    },
    get lines() {
      return now().lines;
    },
    stop,
    start,
    restart: async (...args) => {
      await stop();
      await start(...args);
    },
  };
}
