/** Node's binary of any architecture, from the npm package that package-lock.json pins. */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ARCHITECTURES, type Arch, toolFor } from './arch.ts';
import { cached, keyOf } from './cache.ts';
import { run } from './run.ts';

const ROOT = join(import.meta.dirname, '..');

type Pin = { readonly version: string; readonly integrity: string };

const pinOf = (name: string): Pin => {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, Pin>>;
  };
  const pin = lock.packages[`node_modules/${name}`];
  if (!pin) throw new Error(`package-lock.json has no ${name}: run npm install`);
  return pin;
};

const integrityOf = (file: string): string =>
  `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`;

/** Fetches the package of a foreign architecture, which npm install leaves out. */
async function unpackPackage(name: string, pin: Pin, folder: string): Promise<void> {
  const out = await run(['npm', 'pack', `${name}@${pin.version}`, '--silent', '--pack-destination', folder], {
    cwd: folder,
  });
  const archive = join(folder, out.trim().split('\n').at(-1) ?? '');
  if (integrityOf(archive) !== pin.integrity)
    throw new Error(`${name}@${pin.version} is not what package-lock.json pins: ${integrityOf(archive)}`);
  await run([
    'tar',
    '-x',
    '-f',
    archive,
    '-C',
    folder,
    '--strip-components=1',
    'package/bin/node',
    'package/LICENSE',
  ]);
  rmSync(archive);
}

async function packageFolder(name: string, pin: Pin): Promise<string> {
  const installed = join(ROOT, 'node_modules', name);
  if (existsSync(join(installed, 'bin/node'))) return installed;
  return cached(`${name}-${pin.version}-${keyOf(pin.integrity)}`, folder => unpackPackage(name, pin, folder));
}

export type NodeBinary = { readonly path: string; readonly license: string; readonly version: string };

/** Without its symbols, a seventh of it. */
export async function nodeBinary(arch: Arch): Promise<NodeBinary> {
  const name = `node-linux-${ARCHITECTURES[arch].node}`;
  const pin = pinOf(name);
  const source = await packageFolder(name, pin);
  const strip = toolFor(arch, 'strip');
  const cure = `apt-get install binutils-${ARCHITECTURES[arch].triplet.replace('_', '-')}`;
  const key = keyOf(pin.integrity, await run([strip, '--version'], { cure }));
  const folder = await cached(`node-${arch}-${pin.version}-${key}`, async fresh => {
    await run([strip, '--strip-all', '-o', join(fresh, 'node'), join(source, 'bin/node')], { cure });
    copyFileSync(join(source, 'LICENSE'), join(fresh, 'LICENSE'));
  });
  return { path: join(folder, 'node'), license: join(folder, 'LICENSE'), version: pin.version };
}
