/** DELs that are promised and not carried out yet: hello payloads, a file each, by the binary or by us. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { leaseKey } from './lease.ts';
import type { Attachment } from './spec.ts';
import { decodeHello, encodeHello } from './wire.ts';

export type QueuedDel = Attachment & { readonly done: () => void };

export type DelQueue = {
  /** What waits. Files that cannot be read as such are removed and named to `damaged`. */
  readonly all: (damaged: (file: string) => void) => readonly QueuedDel[];
  readonly find: (attachment: Attachment) => QueuedDel | undefined;
  /** Written by rename; throws where the disk is full. */
  readonly put: (attachment: Attachment) => QueuedDel;
};

const payload = ({ containerId, ifname }: Attachment): Buffer =>
  encodeHello({
    env: new Map([
      ['CNI_COMMAND', 'DEL'],
      ['CNI_CONTAINERID', containerId],
      ['CNI_IFNAME', ifname],
    ]),
    stdin: Buffer.alloc(0),
    stdinUnreadable: false,
    knowsParts: false,
  });

const parse = (path: string): Attachment | undefined => {
  // What is no file, somebody else has put there.
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return undefined;
  const hello = decodeHello(readFileSync(path));
  const containerId = hello.ok ? hello.value.env.get('CNI_CONTAINERID') : undefined;
  const ifname = hello.ok ? hello.value.env.get('CNI_IFNAME') : undefined;
  return containerId && ifname ? { containerId, ifname } : undefined;
};

const HALF_WRITTEN_MS = 60_000;

export function openDelQueue(dir: string): DelQueue {
  const remover = (file: string) => (): void => rmSync(join(dir, file), { recursive: true, force: true });

  /** Of a binary that was killed while it wrote; one that lives needs less than a millisecond. */
  const dropHalfWritten = (files: readonly string[]): void => {
    for (const file of files) {
      const age = Date.now() - (statSync(join(dir, file), { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
      if (age > HALF_WRITTEN_MS) remover(file)();
    }
  };

  const all: DelQueue['all'] = damaged => {
    const files = existsSync(dir) ? readdirSync(dir) : [];
    dropHalfWritten(files.filter(file => file.startsWith('.')));
    return files
      .filter(file => !file.startsWith('.'))
      .flatMap(file => {
        const attachment = parse(join(dir, file));
        if (attachment !== undefined) return [{ ...attachment, done: remover(file) }];
        damaged(file);
        remover(file)();
        return [];
      });
  };

  const find: DelQueue['find'] = attachment => {
    const file = leaseKey(attachment);
    return existsSync(join(dir, file)) ? { ...attachment, done: remover(file) } : undefined;
  };

  const put: DelQueue['put'] = attachment => {
    const file = leaseKey(attachment);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    try {
      writeFileSync(join(dir, `.${file}`), payload(attachment), { mode: 0o600 });
      renameSync(join(dir, `.${file}`), join(dir, file));
    } catch (error) {
      remover(`.${file}`)();
      throw error;
    }
    return { ...attachment, done: remover(file) };
  };
  return { all, find, put };
}
