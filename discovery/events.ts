/** Events on the own Node, for `kubectl describe node`: each once, and never many at a time. */
import type { Log } from '../agent/log.ts';
import { startRunner } from '../agent/runner.ts';
import { isForbidden, isRefused, messageOf } from './api-error.ts';
import type { Client } from './client.ts';
import { type Clock, jittered } from './clock.ts';

export type EventType = 'Normal' | 'Warning';

type Note = {
  readonly reason: string;
  readonly message: string;
  readonly type: EventType;
  readonly wall: number;
};

export type Events = {
  /** `reason` in CamelCase, `message` for a person. The same pair is posted once an hour at most. */
  readonly post: (reason: string, message: string, type?: EventType) => void;
  readonly close: () => Promise<void>;
};

const PATH = '/api/v1/namespaces/default/events';

/** The API server forgets an Event after an hour. */
const AGAIN_MS = 3_600_000;

/** Distinct pairs that are remembered, and notes that wait. */
const REMEMBERED = 256;
const WAITING = 32;

/** So many at once, then one every half minute. */
const BURST = 10;
const REFILL_MS = 30_000;

/** Longest message that the API server takes. */
const MAX_MESSAGE = 1_024;

const shorten = (text: string): string =>
  text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE - 1)}…` : text;

/** The Event object. `uid`: of the Node; `serial` makes the name unique. Pure. */
function toEvent(node: { readonly name: string; readonly uid: string }, note: Note, serial: string) {
  const time = new Date(note.wall).toISOString().replace(/\.\d+Z$/, 'Z');
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${node.name}.${serial}`, namespace: 'default' },
    involvedObject: { apiVersion: 'v1', kind: 'Node', name: node.name, uid: node.uid },
    type: note.type,
    reason: note.reason,
    message: shorten(note.message),
    source: { component: 'weft', host: node.name },
    reportingComponent: 'weft.network/agent',
    reportingInstance: node.name,
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  };
}

export function startEvents(options: {
  readonly client: Client;
  readonly node: () => { readonly name: string; readonly uid: string };
  readonly log: Log;
  readonly clock: Clock;
}): Events {
  const { client, node, log, clock } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const posted = new Map<string, number>();
  let waiting: readonly Note[] = [];
  let tokens = BURST;
  let refilled = clock.now();

  const refill = (): void => {
    const earned = Math.floor((clock.now() - refilled) / REFILL_MS);
    tokens = Math.min(BURST, tokens + earned);
    refilled += earned * REFILL_MS;
  };

  const serial = (): string => Math.floor(clock.wall() * 2 ** 12 + clock.random() * 2 ** 12).toString(16);

  const run = async (): Promise<number | undefined> => {
    for (;;) {
      refill();
      const note = waiting[0];
      if (note === undefined || signal.aborted) return undefined;
      if (tokens < 1) return REFILL_MS;
      await client.post(PATH, toEvent(node(), note, serial()), { signal });
      tokens -= 1;
      waiting = waiting.slice(1);
    }
  };

  const onError = (error: unknown): void => {
    if (signal.aborted) return;
    const cure = isForbidden(error) ? ': apply weft’s manifest again (ClusterRole: create events)' : '';
    log[isForbidden(error) ? 'warn' : 'debug'](
      { error: messageOf(error) },
      `an Event cannot be posted${cure}`,
    );
    if (isRefused(error)) waiting = waiting.slice(1);
  };
  const runner = startRunner({
    run,
    onError,
    minMs: 100,
    maxMs: 300_000,
    retryMs: 1_000,
    timers: jittered(clock),
  });

  const isNew = (key: string): boolean => {
    const at = posted.get(key);
    if (at !== undefined && clock.now() - at < AGAIN_MS) return false;
    posted.delete(key);
    posted.set(key, clock.now());
    if (posted.size > REMEMBERED) posted.delete(posted.keys().next().value as string);
    return true;
  };

  return {
    post: (reason, message, type = 'Warning') => {
      if (!isNew(`${reason}\n${message}`)) return;
      // The oldest wait longest already; of a flood the first ones tell most.
      if (waiting.length >= WAITING) return;
      waiting = [...waiting, { reason, message, type, wall: clock.wall() }];
      runner.mark();
    },
    close: async () => {
      stopping.abort();
      await runner.stop();
    },
  };
}
