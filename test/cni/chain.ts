/** Upstream's programs and plugins beside ours, and the configurations that they read. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before } from 'node:test';
import { CONFLIST } from '../../constants.ts';
import { ensureBuilt, isBuilt } from '../cluster/build.ts';
import { here } from '../lab/namespace.ts';
import { inside } from '../lab/reenter.ts';
import type { CniResult } from '../lab/runtime.ts';
import { BINARY } from './bed.ts';
import { type UsedBed, useBed } from './usebed.ts';

/** Where the plugins are, ours among them. */
export const BIN = '/mnt/cni-bin';

const CONF = '/mnt/cni-conf';

/** Of cnitool; of the small runtime. */
export const CACHE = '/var/lib/cni/results';
const OWN_CACHE = '/var/lib/cni-own';

export const CONF_FILE = join(CONF, CONFLIST);

const TARGETS = ['cnitool', 'cniPlugins', 'cniNoop', 'libcni'] as const;

const hasGo = (): boolean => {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};

// Before the lab is entered, where modules cannot be fetched.
if (!inside() && hasGo()) await ensureBuilt(TARGETS).catch(error => console.error(String(error)));

/** Why these tests cannot run here. */
export const skip = TARGETS.every(isBuilt)
  ? false
  : `cnitool and the plugins ${hasGo() ? 'could not be built' : 'are built with Go, and there is none'}`;

const programs = new Map<'cnitool' | 'libcni', string>();

async function makeBin(): Promise<void> {
  const [cnitool = '', plugins = '', noop = '', libcni = ''] = await ensureBuilt(TARGETS);
  programs.set('cnitool', join(cnitool, 'cnitool')).set('libcni', join(libcni, 'libcni'));
  for (const dir of [BIN, CONF]) mkdirSync(dir);
  copyFileSync(BINARY, join(BIN, 'weft-cni'));
  for (const folder of [plugins, noop])
    for (const file of readdirSync(folder)) copyFileSync(join(folder, file), join(BIN, file));
  // libcni keeps its cache there; the host's own is not ours.
  await here(['mount', '-t', 'tmpfs', 'tmpfs', '/var/lib']);
}

/** `useBed` with upstream's plugins. */
export function useChains(): UsedBed {
  if (skip === false) before(makeBin);
  const cleaned = async (): Promise<void> => {
    for (const dir of [CACHE, OWN_CACHE]) rmSync(dir, { recursive: true, force: true });
  };
  return useBed({ skip: skip !== false, cleaned });
}

/** The text of the configuration that all programs here read. */
export const configure = (text: string): void => writeFileSync(CONF_FILE, text);

/** A list of plugins. */
export const chain = (cniVersion: string, ...plugins: readonly object[]): void =>
  configure(JSON.stringify({ cniVersion, name: 'weft', plugins }));

export const WEFT = { type: 'weft-cni' } as const;

type Env = Readonly<Record<string, string>>;

/** Upstream's cnitool. Rejects with its words. */
export const tool = (verb: string, netns: string, env: Env = {}): Promise<string> =>
  here([programs.get('cnitool') ?? '', verb, 'weft', netns], {
    env: { CNI_PATH: BIN, NETCONFPATH: CONF, ...env },
  });

export const add = async (netns: string, env: Env = {}): Promise<CniResult> =>
  JSON.parse(await tool('add', netns, env)) as CniResult;

export type RuntimeCall = {
  readonly id?: string;
  readonly netns?: string;
  readonly args?: readonly (readonly [string, string])[];
  readonly caps?: Readonly<Record<string, unknown>>;
  readonly valid?: readonly { readonly containerID: string; readonly ifname: string }[];
};

/** One call of libcni, as a runtime makes it. Rejects with its words. */
export async function runtime<T = undefined>(verb: string, call: RuntimeCall = {}): Promise<T> {
  const whole = { verb, conf: CONF_FILE, bin: BIN, cache: OWN_CACHE, ifname: 'eth0', ...call };
  return JSON.parse(await here([programs.get('libcni') ?? '', JSON.stringify(whole)])) as T;
}
