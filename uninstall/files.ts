/** Takes weft's files away: configuration first, so that no runtime calls a binary that is gone. */
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CONFLIST, WG_LINK } from '../constants.ts';
import { readSysctlRecord } from '../platform/linux/sysctlrecord.ts';
import { attempt } from './kernel.ts';
import type { Places, Removal } from './types.ts';

const BINARY = 'weft-cni';
const LOOPBACK = 'loopback';
/** Of an installation that was killed between two steps. */
const HALF = '.weft-new';

const BUSY = /EBUSY|Device or resource busy/;

const entries = (path: string): number => (statSync(path).isDirectory() ? readdirSync(path).length : 1);

function remove(path: string): readonly Removal[] {
  if (!existsSync(path)) return [];
  const before = entries(path);
  try {
    rmSync(path, { recursive: true });
    return [{ kind: 'removed', what: path }];
  } catch (error) {
    // A mount stays where it is; emptied it is all the same.
    if (!BUSY.test(String(error)) || entries(path) > 0) throw error;
    return before === 0 ? [] : [{ kind: 'removed', what: `all in ${path}, which is a mount` }];
  }
}

/** Anybody may have written a file of that name. */
function removeConfig(path: string): readonly Removal[] {
  if (!existsSync(path)) return [];
  const ours = /"type":\s*"weft-cni"/.test(readFileSync(path, 'utf8'));
  return ours ? remove(path) : [{ kind: 'left', what: path, why: 'it does not call weft-cni' }];
}

/** Our binary also stands as `loopback` where there was none; another one is somebody else's. */
function removeLoopback(dir: string): readonly Removal[] {
  const [binary, loopback] = [join(dir, BINARY), join(dir, LOOPBACK)];
  if (!existsSync(binary) || !existsSync(loopback)) return [];
  return readFileSync(binary).equals(readFileSync(loopback)) ? remove(loopback) : [];
}

/** A folder that others use too goes only when nothing is in it. */
function removeEmpty(dir: string): readonly Removal[] {
  try {
    rmdirSync(dir);
    return [{ kind: 'removed', what: dir }];
  } catch {
    return [];
  }
}

/** What runtimes look at. */
export const uninstallConfig = ({ cniConfDir }: Places): Promise<readonly Removal[]> =>
  attempt('CNI configuration', () => removeConfig(join(cniConfDir, CONFLIST)));

/** But for the record of settings that could not be put back, which `restoreSysctls` has left. */
function removeRun({ runDir, sysctlRecord }: Places): readonly Removal[] {
  const owed = Object.keys(readSysctlRecord(sysctlRecord)).length;
  if (owed === 0) return remove(runDir);
  const names = readdirSync(runDir).filter(name => join(runDir, name) !== sysctlRecord);
  const why = `${owed} settings of the kernel could not be put back, and it says what they were: run weft uninstall again`;
  return [...names.flatMap(name => remove(join(runDir, name))), { kind: 'left', what: sysctlRecord, why }];
}

/** All else. The state has the node's private key. */
export async function uninstallFiles(places: Places): Promise<readonly Removal[]> {
  const { cniBinDir, stateDir, wireguardDir } = places;
  const own = [BINARY, `${BINARY}${HALF}`, `${LOOPBACK}${HALF}`].map(name => join(cniBinDir, name));
  return [
    ...(await attempt('loopback plugin', () => removeLoopback(cniBinDir))),
    ...(await attempt('CNI binary', () => own.flatMap(remove))),
    ...(await attempt('state', () => remove(stateDir))),
    ...(await attempt('run directory', () => removeRun(places))),
    ...(await attempt('socket of wireguard-go', () => remove(join(wireguardDir, `${WG_LINK}.sock`)))),
    ...removeEmpty(wireguardDir),
  ];
}
