/** Puts the CNI binary and the conflist where the runtime looks for them; nothing of others is touched. */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../agent/log.ts';
import { CONFLIST } from '../constants.ts';

/** 1.0.0 for runtimes that know no `cniVersions`; the others take the newest that both speak. */
export const conflist = (): string =>
  `${JSON.stringify(
    {
      cniVersion: '1.0.0',
      cniVersions: ['0.3.1', '0.4.0', '1.0.0', '1.1.0'],
      name: 'weft',
      plugins: [
        { type: 'weft-cni', capabilities: { bandwidth: true, ips: true, mac: true, portMappings: true } },
      ],
    },
    undefined,
    2,
  )}\n`;

const unwritable = (dir: string, error: unknown): Error => {
  const code = (error as NodeJS.ErrnoException).code ?? String(error);
  return new Error(
    `cannot write into ${dir} (${code}): in a pod it must be a writable hostPath volume; on hosts with a read-only /opt or /usr choose another directory with cniBinDir or cniConfDir, and give the container runtime the same`,
    { cause: error },
  );
};

const same = (a: string, b: string): boolean => existsSync(b) && readFileSync(a).equals(readFileSync(b));

/** By rename in the same directory: a runtime that is executing it goes on with the old one. On disk before it counts. */
function replaceFile(source: string, target: string): void {
  const temporary = `${target}.weft-new`;
  try {
    copyFileSync(source, temporary);
    chmodSync(temporary, 0o755);
    const fd = openSync(temporary, 'r');
    fsyncSync(fd);
    closeSync(fd);
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

const binaries = (binDir: string) => ({
  target: join(binDir, 'weft-cni'),
  loopback: join(binDir, 'loopback'),
});

/** Whatever the functions below may have written. */
export const installedFiles = (binDir: string, confDir: string): readonly string[] => [
  ...Object.values(binaries(binDir)),
  join(confDir, CONFLIST),
];

/**
 * Also as `loopback` where there is none: runtimes call that one first, and weft's binary can be it.
 * One that is a copy of the binary before this one is ours too, and follows. @returns how many files were written
 */
export function installBinary({
  source,
  binDir,
  log,
}: {
  readonly source: string;
  readonly binDir: string;
  readonly log: Log;
}): number {
  const { target, loopback } = binaries(binDir);
  let written = 0;
  try {
    if (existsSync(target) && same(source, target) && existsSync(loopback)) return written;
    const ours = !existsSync(loopback) || (existsSync(target) && same(target, loopback));
    if (ours && !same(source, loopback)) {
      replaceFile(source, loopback);
      written += 1;
      log.info({ target: loopback }, 'loopback plugin installed, since there was none');
    }
    if (!same(source, target)) {
      replaceFile(source, target);
      written += 1;
      log.info({ target }, 'CNI binary installed');
    }
    return written;
  } catch (error) {
    throw unwritable(binDir, error);
  }
}

/** Names of files. Runtimes use the first one by name, ours among them. */
export type OtherConfigs = { readonly earlier: readonly string[]; readonly later: readonly string[] };

export function otherConfigs(confDir: string): OtherConfigs {
  const files = readdirSync(confDir)
    .filter(file => /\.(conf|conflist|json)$/.test(file) && file !== CONFLIST)
    .sort();
  return { earlier: files.filter(file => file < CONFLIST), later: files.filter(file => file > CONFLIST) };
}

/** In one write, so that whoever reads in between finds the old text, the new one, or the new one and blanks. */
function writeOnce(path: string, content: string): void {
  const before = existsSync(path) ? statSync(path).size : 0;
  const fd = openSync(path, before > 0 ? 'r+' : 'w', 0o644);
  try {
    writeSync(fd, content.padEnd(before));
    ftruncateSync(fd, Buffer.byteLength(content));
  } finally {
    closeSync(fd);
  }
}

/**
 * containerd's watcher reacts to writes, not to creation or rename: so create, then one write.
 * @returns how many files were written
 */
export function installConflist({ confDir, log }: { readonly confDir: string; readonly log: Log }): number {
  const path = join(confDir, CONFLIST);
  const content = conflist();
  try {
    if (existsSync(path) && readFileSync(path, 'utf8') === content) return 0;
    writeOnce(path, content);
  } catch (error) {
    throw unwritable(confDir, error);
  }
  log.info({ path }, 'CNI configuration installed');
  return 1;
}
