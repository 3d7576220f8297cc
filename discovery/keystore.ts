/**
 * The node's key on disk. It records for which Node on which machine it was made, so that a
 * cloned disk does not become a second node with one key. What cannot be read is never replaced.
 */
import { chmodSync, existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { derivePublicKey, generateKey, type KeyPair, parsePrivateKey } from '../mesh/key.ts';
import type { PublicKey, Result } from '../types.ts';
import { privateFolder, readIfThere, syncFolder, writeWhole } from './files.ts';

export const KEY_FILE = 'key.json';

export type KeyOwner = {
  /** State folder; made with mode 0700 where it is missing. */
  readonly dir: string;
  readonly nodeName: string;
  /** Contents of /etc/machine-id; undefined or empty where the host has none. */
  readonly machineId: string | undefined;
};

/** The key that a rotation is on its way to, and the request's token, where it came with one. */
export type NextKey = KeyPair & { readonly token?: string };

/**
 * `made`: why a new key was made just now, for a log line or an Event; absent for the key that was there.
 * `rotated`: token of the last rotation that was done.
 */
export type LoadedKey = KeyPair & {
  readonly made?: string;
  readonly next?: NextKey;
  readonly rotated?: string;
};

/** The key file is there and cannot be used. */
class KeyFileError extends Error {
  override name = 'KeyFileError';
}

type Stored = LoadedKey & { readonly nodeName: string; readonly machineId: string };

const fail = (error: string): Result<never> => ({ ok: false, error });

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;

function parsePair({ privateKey, publicKey }: Json): Result<KeyPair> {
  if (typeof privateKey !== 'string') return fail('it lacks privateKey');
  const key = parsePrivateKey(privateKey);
  if (!key.ok) return fail(`its privateKey ${key.error}`);
  const derived = derivePublicKey(key.value);
  if (publicKey !== derived) return fail('its publicKey does not belong to its privateKey');
  return { ok: true, value: { privateKey: key.value, publicKey: derived } };
}

function parseNext(json: unknown): Result<{ readonly next?: NextKey }> {
  if (json === undefined) return { ok: true, value: {} };
  if (!isObject(json)) return fail('its next is not a JSON object');
  const pair = parsePair(json);
  if (!pair.ok) return fail(`of its next key: ${pair.error}`);
  const { token } = json;
  return { ok: true, value: { next: { ...pair.value, ...(typeof token === 'string' && { token }) } } };
}

/** The file's text → what it holds. */
function parseKeyFile(text: string): Result<Stored> {
  const json = parseJson(text);
  if (!isObject(json)) return fail(text === '' ? 'it is empty' : 'it is not a JSON object');
  const { nodeName, machineId, rotated } = json;
  if (typeof json.privateKey !== 'string' || typeof nodeName !== 'string' || typeof machineId !== 'string')
    return fail('it lacks privateKey, nodeName or machineId');
  const pair = parsePair(json);
  if (!pair.ok) return pair;
  const next = parseNext(json.next);
  if (!next.ok) return next;
  const value = { ...pair.value, nodeName, machineId, ...next.value };
  return { ok: true, value: typeof rotated === 'string' ? { ...value, rotated } : value };
}

const machine = (owner: KeyOwner): string => owner.machineId?.trim() ?? '';

function store(owner: KeyOwner, { privateKey, publicKey, next, rotated }: LoadedKey): LoadedKey {
  const key = { privateKey, publicKey, ...(rotated !== undefined && { rotated }), ...(next && { next }) };
  const stored: Stored = { nodeName: owner.nodeName, machineId: machine(owner), ...key };
  writeWhole(join(owner.dir, KEY_FILE), `${JSON.stringify(stored, undefined, 2)}\n`);
  return key;
}

const makeKey = (owner: KeyOwner): LoadedKey => store(owner, generateKey());

/** Renames the key file to `key.json.SUFFIX`, or `.SUFFIX.2`, … where that is taken. */
function setAside(dir: string, suffix: string): string {
  const path = join(dir, KEY_FILE);
  let aside = `${path}.${suffix}`;
  for (let n = 2; existsSync(aside); n += 1) aside = `${path}.${suffix}.${n}`;
  renameSync(path, aside);
  syncFolder(dir);
  return aside;
}

/** Why the stored key is another node's; undefined: it is ours. A machine-id that is not known proves nothing. */
function foreign(stored: Stored, owner: KeyOwner): string | undefined {
  if (stored.nodeName !== owner.nodeName)
    return `it was made for Node ${stored.nodeName}, and this is Node ${owner.nodeName}`;
  const id = machine(owner);
  if (stored.machineId !== '' && id !== '' && stored.machineId !== id)
    return 'it was made on a machine with another machine-id';
  return undefined;
}

function useStored(stored: Stored, owner: KeyOwner): LoadedKey {
  const reason = foreign(stored, owner);
  if (reason === undefined) {
    const { nodeName: _, machineId: __, ...key } = stored;
    return key;
  }
  const aside = setAside(owner.dir, 'foreign');
  return {
    ...makeKey(owner),
    made: `the key on disk belongs to another node (${reason}; a cloned disk?): it is now ${aside}, and this node has a new one`,
  };
}

const damaged = (path: string, error: string): string =>
  `the key file ${path} is damaged: ${error}. Put it back from a backup, or remove it and start the agent again: it then makes a new key, which the other nodes take over by themselves`;

/** The public half of the key on disk, touching nothing; undefined: there is none. */
export function inspectKey(dir: string): Result<PublicKey | undefined> {
  const path = join(dir, KEY_FILE);
  const text = readIfThere(path);
  if (text === undefined) return { ok: true, value: undefined };
  const stored = parseKeyFile(text);
  return stored.ok ? { ok: true, value: stored.value.publicKey } : fail(damaged(path, stored.error));
}

/**
 * The node's key: the one on disk, or a new one with the reason. Throws KeyFileError where the
 * file is damaged, and the system's error where the folder cannot be used.
 */
export function loadKey(owner: KeyOwner): LoadedKey {
  privateFolder(owner.dir);
  const path = join(owner.dir, KEY_FILE);
  const text = readIfThere(path);
  if (text === undefined) return { ...makeKey(owner), made: 'this node had no key yet' };
  const stored = parseKeyFile(text);
  if (!stored.ok) throw new KeyFileError(damaged(path, stored.error));
  chmodSync(path, 0o600);
  return useStored(stored.value, owner);
}

/** A new key in place of ours, because an older Node holds ours. The old one is kept as key.json.refused. */
export function renewKey(owner: KeyOwner, reason: string): LoadedKey {
  privateFolder(owner.dir);
  if (existsSync(join(owner.dir, KEY_FILE))) setAside(owner.dir, 'refused');
  return { ...makeKey(owner), made: reason };
}

/** The same key, with a new one on disk beside it that is to follow it. An earlier one that never came into use is lost. */
export const prepareKey = (owner: KeyOwner, key: LoadedKey, token: string | undefined): LoadedKey =>
  store(owner, { ...key, next: { ...generateKey(), ...(token !== undefined && { token }) } });

/** The next key in place of the old one, which the file forgets. */
export function takeNextKey(owner: KeyOwner, key: LoadedKey): LoadedKey {
  if (key.next === undefined) return key;
  const { token, ...pair } = key.next;
  const rotated = token ?? key.rotated;
  return store(owner, { ...pair, ...(rotated !== undefined && { rotated }) });
}
