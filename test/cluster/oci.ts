import { createHash } from 'node:crypto';
import {
  copyFileSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { must } from './process.ts';

/** An image of one layer: the contents of a folder, and what runs in it. */
export type ImageSpec = {
  /** Full name, as a manifest asks for it: `localhost/weft-test/pause:1`. */
  readonly name: string;
  readonly rootfs: string;
  readonly entrypoint: readonly string[];
  readonly arguments?: readonly string[];
};

type Descriptor = { readonly mediaType: string; readonly digest: string; readonly size: number };

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** The same tar for the same contents, whenever and by whomever it is made. */
const TAR = [
  'tar',
  '--sort=name',
  '--mtime=@0',
  '--owner=0',
  '--group=0',
  '--numeric-owner',
  '--format=gnu',
] as const;

const fileDigest = async (path: string): Promise<string> => {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
};

const blobPath = (folder: string, hex: string): string => join(folder, 'blobs', 'sha256', hex);

/** Stores a JSON document as a blob. */
const putJson = (folder: string, mediaType: string, value: unknown): Descriptor => {
  const text = JSON.stringify(value);
  const hex = createHash('sha256').update(text).digest('hex');
  writeFileSync(blobPath(folder, hex), text);
  return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(text) };
};

/** Stores the image's file system as a blob. */
const putLayer = async (folder: string, rootfs: string): Promise<Descriptor> => {
  const tar = join(folder, 'layer.tar');
  await must([...TAR, '-cf', tar, '-C', rootfs, '.']);
  const hex = await fileDigest(tar);
  copyFileSync(tar, blobPath(folder, hex));
  rmSync(tar);
  const size = statSync(blobPath(folder, hex)).size;
  return { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: `sha256:${hex}`, size };
};

const putManifest = (folder: string, spec: ImageSpec, layer: Descriptor): Descriptor => {
  const config = putJson(folder, 'application/vnd.oci.image.config.v1+json', {
    os: 'linux',
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    config: {
      Entrypoint: spec.entrypoint,
      Cmd: spec.arguments ?? [],
      Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin:/'],
    },
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
  });
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  return putJson(folder, mediaType, { schemaVersion: 2, mediaType, config, layers: [layer] });
};

const writeIndex = (folder: string, name: string, manifest: Descriptor): void => {
  // containerd names an imported image by this annotation.
  const annotations = { 'io.containerd.image.name': name };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  writeFileSync(join(folder, 'index.json'), JSON.stringify(index));
  writeFileSync(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
};

/** Writes an OCI archive that `ctr images import` takes. */
export const writeImage = async (spec: ImageSpec, path: string): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-oci-'));
  try {
    mkdirSync(join(folder, 'blobs', 'sha256'), { recursive: true });
    writeIndex(folder, spec.name, putManifest(folder, spec, await putLayer(folder, spec.rootfs)));
    await must([...TAR, '-cf', path, '-C', folder, 'oci-layout', 'index.json', 'blobs']);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
