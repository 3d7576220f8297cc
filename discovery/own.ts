/** The own Node, read whole: its addresses, and its annotations as the API server has them. */
import type { Log } from '../agent/log.ts';
import { startRunner } from '../agent/runner.ts';
import { parseIp } from '../ip.ts';
import type { Ip } from '../types.ts';
import { annotations, readAnnotation } from './annotations.ts';
import { isNotFound, messageOf } from './api-error.ts';
import type { Client } from './client.ts';
import { type Clock, jittered } from './clock.ts';
import { podCidrsOf } from './state.ts';
import type { OwnAddresses } from './types.ts';

export type OwnNode = {
  readonly uid: string;
  readonly addresses: OwnAddresses;
  readonly annotations: Readonly<Record<string, string>>;
  readonly podCidrs: readonly string[];
  readonly rotation: RotationNotes;
  /** The condition NetworkUnavailable is true: a cloud's controller waits for routes that weft makes unnecessary. */
  readonly networkUnavailable: boolean;
};

/** Tokens of the own Node's annotations rotate-key and key-rotated. */
export type RotationNotes = { readonly asked?: string; readonly done?: string };

/** k3s writes --node-external-ip here, a list with commas. */
const K3S_EXTERNAL = 'k3s.io/external-ip';

type Json = Readonly<Record<string, unknown>>;

const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});

const ips = (texts: readonly unknown[]): readonly Ip[] => [
  ...new Set(
    texts.flatMap(text => {
      const ip = typeof text === 'string' ? parseIp(text.trim()) : undefined;
      return ip?.ok ? [ip.value] : [];
    }),
  ),
];

function rotationOf(notes: Json): RotationNotes {
  const asked = readAnnotation(notes, annotations.rotateKey, []);
  const done = readAnnotation(notes, annotations.keyRotated, []);
  return { ...(asked !== undefined && { asked }), ...(done !== undefined && { done }) };
}

/** A full Node, parsed JSON. What is missing or wrong in it is left out. */
export function parseOwnNode(node: unknown): OwnNode {
  const { metadata, status } = record(node);
  const { uid, annotations } = record(metadata);
  const { addresses, conditions } = record(status);
  const texts = Object.entries(record(annotations)).filter(
    (e): e is [string, string] => typeof e[1] === 'string',
  );
  const notes = Object.fromEntries(texts);
  const all = (Array.isArray(addresses) ? addresses : []).map(record);
  const of = (type: string) => all.filter(entry => entry.type === type).map(entry => entry.address);
  return {
    uid: typeof uid === 'string' ? uid : '',
    addresses: {
      internal: ips(of('InternalIP')),
      external: ips([...of('ExternalIP'), ...(notes[K3S_EXTERNAL]?.split(',') ?? [])]),
    },
    annotations: notes,
    podCidrs: podCidrsOf(node),
    rotation: rotationOf(notes),
    networkUnavailable: (Array.isArray(conditions) ? conditions : [])
      .map(record)
      .some(({ type, status: is }) => type === 'NetworkUnavailable' && is === 'True'),
  };
}

export type Own = {
  /** The Node has changed, or may have. */
  readonly mark: () => void;
  readonly close: () => Promise<void>;
};

/** The longest pause between two tries while the Node cannot be read. */
const RETRY_MAX_MS = 60_000;

/** Reads the Node now and after each mark, at most once a second; `seen` gets what it is. */
export function startOwn(options: {
  readonly client: Client;
  readonly path: string;
  readonly nodeName: string;
  readonly seen: (node: OwnNode) => void;
  readonly log: Log;
  readonly clock: Clock;
}): Own {
  const { client, path, nodeName, seen, log, clock } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  let complained = false;
  let due = true;
  const run = async (): Promise<undefined> => {
    if (!due) return;
    due = false;
    const node = await client.get(`${path}/${nodeName}`, { signal }).catch((error: unknown) => {
      due = true;
      throw error;
    });
    complained = false;
    if (!signal.aborted) seen(parseOwnNode(node));
  };
  const onError = (error: unknown): void => {
    if (signal.aborted) return;
    const message = isNotFound(error)
      ? `there is no Node ${nodeName} yet; waiting for the kubelet to register it (or is NODE_NAME wrong?)`
      : 'the own Node cannot be read; trying again';
    log[complained ? 'debug' : 'warn']({ error: messageOf(error) }, message);
    complained = true;
  };
  const runner = startRunner({
    run,
    onError,
    minMs: 1_000,
    maxMs: RETRY_MAX_MS,
    retryMs: 500,
    timers: jittered(clock),
  });
  runner.mark();
  return {
    mark: () => {
      due = true;
      runner.mark();
    },
    close: async () => {
      stopping.abort();
      await runner.stop();
    },
  };
}
