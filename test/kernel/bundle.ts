/** A test and all that it imports as one file: an emulated machine needs 10 s to read and strip all the sources. */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Plugin } from 'esbuild';
import { bundle, NATIVE, nativePart } from '../../image/bundle.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/**
 * Sources keep their own idea of where they are. Only the entry's file name becomes the bundle's, by which it
 * starts itself again, and only the entry is a program.
 */
const places = (entry: string): Plugin => ({
  name: 'places',
  setup(build) {
    build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const own = path === entry;
      const contents = readFileSync(path, 'utf8')
        .replaceAll('import.meta.dirname', JSON.stringify(dirname(path)))
        .replaceAll('import.meta.filename', own ? '__filename' : JSON.stringify(path))
        .replaceAll('import.meta.main', String(own));
      return { contents, loader: 'ts' };
    });
  },
});

/** Writes the bundle of `file`, a path in the repository, into `folder`; resolves with its path. */
export async function bundleInto(folder: string, file: string): Promise<string> {
  const target = join(folder, `${basename(file, '.ts')}.mjs`);
  const plugins = [places(join(ROOT, file))];
  writeFileSync(target, await bundle(file, { plugins }));
  writeFileSync(join(folder, NATIVE), nativePart('amd64'));
  return target;
}
