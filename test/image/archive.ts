/** Reads an OCI archive as a container runtime would, and unpacks it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';

type Descriptor = { readonly mediaType: string; readonly digest: string; readonly size: number };

export type Config = {
  readonly architecture: string;
  readonly config: {
    readonly Entrypoint: readonly string[];
    readonly Labels: Readonly<Record<string, string>>;
  };
  readonly rootfs: { readonly diff_ids: readonly string[] };
};

export type Opened = {
  readonly annotations: Readonly<Record<string, string>>;
  readonly config: Config;
  readonly layers: number;
};

const sha256 = (content: Uint8Array): string =>
  `sha256:${createHash('sha256').update(content).digest('hex')}`;

const json = (content: Uint8Array): unknown => JSON.parse(Buffer.from(content).toString('utf8'));

/** Unpacks the layers into `root`, and asserts every digest and size on the way. */
export function openArchive(path: string, folder: string, root: string): Opened {
  mkdirSync(folder);
  mkdirSync(root);
  execFileSync('tar', ['-x', '-f', path, '-C', folder]);
  const read = ({ digest, size }: Descriptor): Buffer => {
    const file = join(folder, 'blobs', digest.replace(':', '/'));
    assert.equal(statSync(file).size, size);
    const content = readFileSync(file);
    assert.equal(sha256(content), digest);
    return content;
  };
  const index = json(readFileSync(join(folder, 'index.json'))) as {
    manifests: readonly (Descriptor & { readonly annotations: Record<string, string> })[];
  };
  const [entry] = index.manifests;
  assert.ok(entry && index.manifests.length === 1);
  const manifest = json(read(entry)) as { config: Descriptor; layers: readonly Descriptor[] };
  const config = json(read(manifest.config)) as Config;
  for (const [i, layer] of manifest.layers.entries()) {
    assert.equal(layer.mediaType, 'application/vnd.oci.image.layer.v1.tar+zstd');
    const archive = zstdDecompressSync(read(layer));
    assert.equal(sha256(archive), config.rootfs.diff_ids[i]);
    writeFileSync(join(folder, 'layer.tar'), archive);
    execFileSync('tar', ['-x', '-p', '-f', join(folder, 'layer.tar'), '-C', root]);
  }
  return { annotations: entry.annotations, config, layers: manifest.layers.length };
}
