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

export type WantedState = {
  readonly publicKey: PublicKey;
  /** Keys that are left alone where the Node shows them: while it is not sure which of two our peers have. */
  readonly accepted?: readonly PublicKey[];
  readonly endpoints: readonly Candidate[];
  /** Token of the rotation that is done; undefined: that annotation is left as it is. */
  readonly rotated?: string;
};

type Notes = Readonly<Record<string, string>>;

/** Annotation → its text, for a merge patch; empty where nothing differs. Pure. */
export function differences(wanted: WantedState, actual: Notes): Notes {
  const { publicKey, endpoints, keyRotated } = annotations;
  const accepted: readonly (string | undefined)[] = wanted.accepted ?? [];
  const texts: Notes = {
    ...(!accepted.includes(actual[publicKey.name]) && {
      [publicKey.name]: publicKey.print(wanted.publicKey),
    }),
    [endpoints.name]: endpoints.print(wanted.endpoints),
    ...(wanted.rotated !== undefined && { [keyRotated.name]: keyRotated.print(wanted.rotated) }),
  };
  return Object.fromEntries(Object.entries(texts).filter(([name, text]) => actual[name] !== text));
}

/** One patch that was sent: when, and whether the same was sent in the minute before. */
type Sent = { readonly at: number; readonly text: string; readonly again: boolean };

/** So many in a minute without a pause: of the same, as when two agents of one Node undo each other, and of any. */
const REPEATED = 3;
const ANY = 11;

const recent = (patches: readonly Sent[], now: number): readonly Sent[] =>
  patches.filter(({ at }) => now - at < 60_000);

/** The pause before a patch doubles with each one of the last minute above those limits, from 0 to a minute. */
function patience(patches: readonly Sent[], now: number): number {
  const last = recent(patches, now);
  const above = Math.max(last.filter(({ again }) => again).length - REPEATED + 1, last.length - ANY);
  if (above <= 0) return 0;
  return Math.max(0, (last.at(-1) as Sent).at + Math.min(60_000, 500 * 2 ** above) - now);
}

function sent(patches: readonly Sent[], notes: Notes, now: number): readonly Sent[] {
  const text = JSON.stringify(notes);
  const last = recent(patches, now);
  return [...last, { at: now, text, again: last.some(patch => patch.text === text) }].slice(-32);
}

export type Shown = { readonly key: string | undefined; readonly age: number };

export type Publisher = {
  readonly want: (wanted: WantedState) => void;
  /** The own Node's annotations, as just read from the API server. */
  readonly saw: (actual: Notes) => void;
  readonly publication: () => Publication;
  /** The key that our Node shows, and the milliseconds since it was read or written; undefined: not yet in this life. */
  readonly shown: () => Shown | undefined;
  /** Milliseconds that a patch would have to wait now, because there were many. */
  readonly busyFor: () => number;
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

/** A server that does not answer a patch in this time is asked again: a node that changes its key waits for it. */
const PATCH_MS = 5_000;

export function startPublisher(options: PublishOptions): Publisher {
  const { client, path, nodeName, onPublished, log, clock } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  let wanted: WantedState | undefined;
  let actual: Notes | undefined;
  let actualAt = 0;
  /** The key on our Node when we first looked; from disk until then. */
  let firstKey: string | undefined = options.lastKnownKey;
  let shown: { readonly key: string; readonly at: number } | undefined;
  let patches: readonly Sent[] = [];

  const patch = async (notes: Notes): Promise<void> => {
    patches = sent(patches, notes, clock.now());
    const limit = AbortSignal.any([signal, AbortSignal.timeout(PATCH_MS)]);
    await client.patch(`${path}/${nodeName}`, { metadata: { annotations: notes } }, { signal: limit });
    actual = { ...actual, ...notes };
    actualAt = clock.now();
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
      actualAt = clock.now();
      if (wanted !== undefined && Object.keys(differences(wanted, notes)).length > 0) runner.mark();
    },
    publication: () => {
      if (wanted === undefined) return { before: false, at: undefined };
      if (firstKey === wanted.publicKey) return { before: true, at: 0 };
      return { before: false, at: shown?.key === wanted.publicKey ? shown.at : undefined };
    },
    shown: () =>
      actual && { key: actual[annotations.publicKey.name], age: Math.max(0, clock.now() - actualAt) },
    busyFor: () => patience(patches, clock.now()),
    close: async () => {
      stopping.abort();
      await runner.stop();
    },
  };
}
