/** Entries → tar archive (POSIX ustar). The same entries give the same bytes. Pure. */

export type Entry =
  | { readonly kind: 'file'; readonly content: Uint8Array; readonly executable?: boolean }
  | { readonly kind: 'folder'; readonly mode?: number }
  | { readonly kind: 'link'; readonly target: string };

/** Path without leading slash → entry. Folders above an entry need not be given. */
export type Entries = ReadonlyMap<string, Entry>;

const BLOCK = 512;

const TYPES = { file: '0', link: '2', folder: '5' } as const;

const modeOf = (entry: Entry): number => {
  if (entry.kind === 'link') return 0o777;
  if (entry.kind === 'folder') return entry.mode ?? 0o755;
  return entry.executable ? 0o755 : 0o644;
};

/** ustar holds 100 bytes of name and 155 of the folders before it. */
const splitPath = (path: string): readonly [prefix: string, name: string] => {
  if (Buffer.byteLength(path) <= 100) return ['', path];
  const at = path.indexOf('/', Math.max(0, path.length - 101));
  if (at < 1 || at > 155) throw new Error(`the path ${path} is too long for a tar archive`);
  return [path.slice(0, at), path.slice(at + 1)];
};

const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, '0')}\0`;

function header(path: string, entry: Entry): Buffer {
  const block = Buffer.alloc(BLOCK);
  const put = (text: string, offset: number) => block.write(text, offset, 'utf8');
  const [prefix, name] = splitPath(entry.kind === 'folder' ? `${path}/` : path);
  put(name, 0);
  put(octal(modeOf(entry), 8), 100);
  put(octal(0, 8), 108);
  put(octal(0, 8), 116);
  put(octal(entry.kind === 'file' ? entry.content.length : 0, 12), 124);
  put(octal(0, 12), 136);
  put(' '.repeat(8), 148);
  put(TYPES[entry.kind], 156);
  if (entry.kind === 'link') put(entry.target, 157);
  put('ustar\x0000', 257);
  put(prefix, 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  put(`${octal(sum, 7)} `, 148);
  return block;
}

const parents = (path: string): readonly string[] =>
  path
    .split('/')
    .slice(0, -1)
    .map((_, i, parts) => parts.slice(0, i + 1).join('/'));

/** With every folder above an entry, sorted by path, so that a folder comes before what is in it. */
const complete = (entries: Entries): readonly (readonly [string, Entry])[] => {
  const all = new Map<string, Entry>();
  for (const path of entries.keys()) for (const parent of parents(path)) all.set(parent, { kind: 'folder' });
  for (const [path, entry] of entries) all.set(path, entry);
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1));
};

/** Owner root, time 0. @throws on a path that ustar cannot hold */
export function tar(entries: Entries): Buffer {
  const blocks = complete(entries).flatMap(([path, entry]) => {
    if (entry.kind !== 'file') return [header(path, entry)];
    const padding = Buffer.alloc((BLOCK - (entry.content.length % BLOCK)) % BLOCK);
    return [header(path, entry), entry.content, padding];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}
