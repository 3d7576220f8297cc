/**
 * What we say of ourselves: key and endpoints on our own Node, patched only where the Node
 * differs from what is wanted. An idle node writes nothing.
 */
import type { Log } from '../agent/log.ts';
import { startRunner } from '../agent/runner.ts';
import type { Publication } from '../mesh/rounds.ts';
import type { PublicKey } from '../types.ts';
import { annotations } from './annotations.ts';
import { isForbidden, messageOf } from './api-error.ts';
import type { Client } from './client.ts';
import { type Clock, jittered } from './clock.ts';
import type { Candidate } from './types.ts';

export type WantedState = { readonly publicKey: PublicKey; readonly endpoints: readonly Candidate[] };

type Notes = Readonly<Record<string, string>>;

/** Annotation → its text, for a merge patch; empty where nothing differs. Pure. */
export function differences(wanted: WantedState, actual: Notes): Notes {
  const texts: Notes = {
    [annotations.publicKey.name]: annotations.publicKey.print(wanted.publicKey),
    [annotations.endpoints.name]: annotations.endpoints.print(wanted.endpoints),
  };
  return Object.fromEntries(Object.entries(texts).filter(([name, text]) => actual[name] !== text));
}

/**
 * Two writers that undo each other, such as two agents for one Node, must not write without
 * end: the pause before a patch doubles with each one of the last minute, from 0 to a minute.
 */
function patience(patches: readonly number[], now: number): number {
  const recent = patches.filter(at => now - at < 60_000);
  if (recent.length < 4) return 0;
  const last = recent.at(-1) as number;
  return Math.max(0, last + Math.min(60_000, 500 * 2 ** (recent.length - 3)) - now);
}

export type Publisher = {
  readonly want: (wanted: WantedState) => void;
  /** The own Node's annotations, as just read from the API server. */
  readonly saw: (actual: Notes) => void;
  readonly publication: () => Publication;
  readonly close: () => Promise<void>;
};

export type PublishOptions = {
  readonly client: Client;
  readonly path: string;
  readonly nodeName: string;
  /** Key that our Node showed when the last agent saw it, from the state on disk. */
  readonly lastKnownKey: PublicKey | undefined;
  /** The Node now shows what is wanted. */
  readonly onPublished: () => void;
  readonly log: Log;
  readonly clock: Clock;
};

export function startPublisher(options: PublishOptions): Publisher {
  const { client, path, nodeName, onPublished, log, clock } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  let wanted: WantedState | undefined;
  let actual: Notes | undefined;
  /** The key on our Node when we first looked; from disk until then. */
  let firstKey: string | undefined = options.lastKnownKey;
  let shown: { readonly key: string; readonly at: number } | undefined;
  let patches: readonly number[] = [];

  const patch = async (notes: Notes): Promise<void> => {
    patches = [...patches.slice(-9), clock.now()];
    await client.patch(`${path}/${nodeName}`, { metadata: { annotations: notes } }, { signal });
    actual = { ...actual, ...notes };
    const key = notes[annotations.publicKey.name];
    if (key !== undefined) shown = { key, at: clock.wall() };
    log.info({ annotations: notes }, 'published on the own Node');
    onPublished();
  };

  const run = async (): Promise<number | undefined> => {
    if (wanted === undefined || actual === undefined) return undefined;
    const notes = differences(wanted, actual);
    if (Object.keys(notes).length === 0) return undefined;
    const wait = patience(patches, clock.now());
    if (wait > 0) return wait;
    await patch(notes);
    return 0;
  };

  const onError = (error: unknown): void => {
    if (signal.aborted) return;
    const cure = isForbidden(error)
      ? 'the API server refuses to let this agent write its own Node: apply weft’s manifest again (ClusterRole and ValidatingAdmissionPolicy)'
      : 'the own Node cannot be written; trying again';
    log.warn({ error: messageOf(error) }, cure);
  };
  const runner = startRunner({
    run,
    onError,
    minMs: 100,
    maxMs: 60_000,
    retryMs: 500,
    timers: jittered(clock),
  });

  return {
    want: next => {
      wanted = next;
      if (actual !== undefined && Object.keys(differences(next, actual)).length > 0) runner.mark();
    },
    saw: notes => {
      if (actual === undefined) firstKey = notes[annotations.publicKey.name];
      actual = notes;
      if (wanted !== undefined && Object.keys(differences(wanted, notes)).length > 0) runner.mark();
    },
    publication: () => {
      if (wanted === undefined) return { before: false, at: undefined };
      if (firstKey === wanted.publicKey) return { before: true, at: 0 };
      return { before: false, at: shown?.key === wanted.publicKey ? shown.at : undefined };
    },
    close: async () => {
      stopping.abort();
      await runner.stop();
    },
  };
}
