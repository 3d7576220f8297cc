/**
 * The condition NetworkUnavailable of our own Node. Some clouds' controllers set it true until they have made routes
 * to the pods, and keep pods off the Node; weft carries pods without such routes, so it clears it. It is never added.
 */
import type { Log } from '../agent/log.ts';
import { startRunner } from '../agent/runner.ts';
import { isForbidden, messageOf } from './api-error.ts';
import type { Client } from './client.ts';
import { type Clock, jittered } from './clock.ts';

export type Condition = {
  /** What our Node shows. */
  readonly saw: (unavailable: boolean) => void;
  /** Pods can be wired from now on. */
  readonly ready: () => void;
  readonly close: () => Promise<void>;
};

/** The strategic merge patch of nodes/status; `now` in ms since the epoch. Pure. */
export function clearing(now: number): object {
  const at = new Date(now).toISOString().replace(/\.\d+/, '');
  return {
    status: {
      conditions: [
        {
          type: 'NetworkUnavailable',
          status: 'False',
          reason: 'WeftIsUp',
          message: 'weft wires pods on this node',
          lastHeartbeatTime: at,
          lastTransitionTime: at,
        },
      ],
    },
  };
}

/** A controller that sets it again and again is answered no more often. */
const PAUSE_MS = 10_000;

export function startCondition(options: {
  readonly client: Client;
  readonly path: string;
  readonly nodeName: string;
  readonly log: Log;
  readonly clock: Clock;
}): Condition {
  const { client, path, nodeName, log, clock } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  let unavailable = false;
  let ready = false;
  let complained = false;

  const run = async (): Promise<undefined> => {
    if (!unavailable || !ready) return;
    const target = `${path}/${nodeName}/status`;
    await client.patch(target, clearing(clock.wall()), { signal, strategic: true });
    unavailable = false;
    complained = false;
    log.info({}, 'the condition NetworkUnavailable, which a controller had set, is cleared');
  };

  const onError = (error: unknown): void => {
    if (signal.aborted) return;
    const cure = isForbidden(error)
      ? 'the API server refuses to let this agent clear the condition NetworkUnavailable: apply weft’s manifest again'
      : 'the condition NetworkUnavailable cannot be cleared; trying again';
    log[complained ? 'debug' : 'warn']({ error: messageOf(error) }, cure);
    complained = true;
  };

  const runner = startRunner({
    run,
    onError,
    minMs: PAUSE_MS,
    maxMs: 60_000,
    retryMs: 1_000,
    timers: jittered(clock),
  });
  const mark = (): void => {
    if (unavailable && ready) runner.mark();
  };
  return {
    saw: now => {
      unavailable = now;
      mark();
    },
    ready: () => {
      if (ready) return;
      ready = true;
      mark();
    },
    close: async () => {
      stopping.abort();
      await runner.stop();
    },
  };
}
