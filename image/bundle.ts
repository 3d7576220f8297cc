/** The agent and all that it imports → one file, with netlink's native part beside it. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { type BuildOptions, build as esbuild, type Plugin } from 'esbuild';
import { type Arch, buildShim } from '../cni/shim/build.ts';

const ROOT = join(import.meta.dirname, '..');

/** Name of the native part, in the folder of the bundle. */
export const NATIVE = 'netlink.node';

/** node-gyp-build looks for the native part in folders that a bundle does not have. */
const nativeBeside: Plugin = {
  name: 'native-beside',
  setup(build) {
    build.onResolve({ filter: /^node-gyp-build$/ }, () => ({ path: 'native', namespace: 'native-beside' }));
    build.onResolve({ filter: /^\.\/netlink\.node$/ }, ({ path }) => ({ path, external: true }));
    build.onLoad({ filter: /.*/, namespace: 'native-beside' }, () => ({
      contents: `module.exports = () => require('./${NATIVE}');`,
    }));
  },
};

/**
 * An `import` of one of Node's own modules asks for everything that it exports, and so for what is loaded only when
 * asked for: `node:http` brings all of undici, for which each start of the command takes 10 MB and 0.15 s. `require` does not.
 */
const nodeRequired: Plugin = {
  name: 'node-required',
  setup(build) {
    build.onResolve({ filter: /.*/ }, ({ path, namespace }) => {
      if (!isBuiltin(path)) return undefined;
      return namespace === 'node-required'
        ? { path, external: true }
        : { path, namespace: 'node-required', sideEffects: false };
    });
    build.onLoad({ filter: /.*/, namespace: 'node-required' }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
    }));
  },
};

/** What CommonJS packages miss inside an ES module; the first line lets the file be run by its name. */
const BANNER = [
  '#!/usr/bin/node',
  "import { createRequire as weftCreateRequire } from 'node:module';",
  'const require = weftCreateRequire(import.meta.url);',
  'const { dirname: __dirname, filename: __filename } = import.meta;',
].join('\n');

const COMMENT = /^\s*(?:\/\*|\*|\/\/)/;

/**
 * With a single letter outside of Latin-1 V8 keeps all of the text in two bytes a letter. esbuild escapes them everywhere but in
 * comments, and in regular expressions, where they would mean something else afterwards: throws.
 */
export function oneByte(text: string): Uint8Array {
  const line = text.split('\n').find(one => /[^\0-\x7f]/.test(one) && !COMMENT.test(one));
  if (line !== undefined)
    throw new Error(`the bundle has letters outside of ASCII that count: ${line.trim()}`);
  return Buffer.from(text.replace(/[^\0-\x7f]/g, '?'), 'latin1');
}

/** Text of the bundle. Rejects when something that it needs cannot be bundled. */
export async function bundle(entry: string, more: BuildOptions = {}): Promise<Uint8Array> {
  const { outputFiles } = await esbuild({
    ...more,
    entryPoints: [resolve(ROOT, entry)],
    absWorkingDir: ROOT,
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    // Not minified: a stack trace prints its line, and a bug report should be readable.
    minifySyntax: true,
    legalComments: 'none',
    banner: { js: BANNER },
    plugins: [nativeBeside, nodeRequired, ...(more.plugins ?? [])],
    logLevel: 'error',
  });
  const [file] = outputFiles;
  if (!file || outputFiles.length !== 1) throw new Error(`the bundle of ${entry} is not one file`);
  return oneByte(file.text);
}

/** Node's words for the architectures. */
const NODE_ARCH: Readonly<Record<Arch, string>> = { amd64: 'x64', arm64: 'arm64', arm: 'arm' };

/** Netlink's prebuilt native part, which N-API keeps independent of Node's version. */
export function nativePart(arch: Arch): Uint8Array {
  const folder = dirname(createRequire(import.meta.url).resolve('netlink/package.json'));
  return readFileSync(join(folder, 'prebuilds', `linux-${NODE_ARCH[arch]}`, 'node.napi.node'));
}

/** `node image/bundle.ts FOLDER`: the agent's files for this machine's architecture, for the Dockerfile. */
async function main(folder: string | undefined): Promise<number> {
  if (folder === undefined) throw new Error('usage: node image/bundle.ts FOLDER');
  const arch = (Object.keys(NODE_ARCH) as Arch[]).find(a => NODE_ARCH[a] === process.arch);
  if (arch === undefined) throw new Error(`there is no image for ${process.arch}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'main.mjs'), await bundle('main.ts'), { mode: 0o755 });
  writeFileSync(join(folder, NATIVE), nativePart(arch));
  copyFileSync(buildShim(arch), join(folder, 'weft-cni'));
  return 0;
}

if (import.meta.main) process.exitCode = await main(process.argv[2]);
