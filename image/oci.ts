/** Layers and configuration → OCI archive that `ctr images import` takes. Pure. */

import type { Arch } from './arch.ts';
import { sha256 } from './cache.ts';
import { LAYER_TYPE, type Layer } from './layer.ts';
import { type Entries, type Entry, tar } from './tar.ts';

export type ImageSpec = {
  /** With its tag: `weft.network/weft:0.1.0`. */
  readonly name: string;
  readonly architecture: Arch;
  readonly entrypoint: readonly string[];
  /** Arguments where a container gives none. */
  readonly command: readonly string[];
  readonly env: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
};

type Descriptor = { readonly mediaType: string; readonly digest: string; readonly size: number };

type Blob = { readonly descriptor: Descriptor; readonly content: Buffer };

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';

const blob = (mediaType: string, content: Buffer): Blob => ({
  content,
  descriptor: { mediaType, digest: `sha256:${sha256(content)}`, size: content.length },
});

const jsonBlob = (mediaType: string, value: unknown): Blob =>
  blob(mediaType, Buffer.from(JSON.stringify(value)));

const configOf = (spec: ImageSpec, layers: readonly Layer[]): Blob =>
  jsonBlob(CONFIG, {
    created: new Date(0).toISOString(),
    architecture: spec.architecture,
    os: 'linux',
    config: {
      User: '0:0',
      Entrypoint: spec.entrypoint,
      Cmd: spec.command,
      Env: spec.env,
      Labels: spec.labels,
      WorkingDir: '/',
    },
    rootfs: { type: 'layers', diff_ids: layers.map(layer => `sha256:${layer.diffId}`) },
  });

const indexOf = (spec: ImageSpec, manifest: Descriptor): unknown => ({
  schemaVersion: 2,
  mediaType: INDEX,
  manifests: [
    {
      ...manifest,
      platform: { architecture: spec.architecture, os: 'linux' },
      // containerd names the imported image by the first, other tools by the second.
      annotations: {
        'io.containerd.image.name': spec.name,
        'org.opencontainers.image.ref.name': spec.name.slice(spec.name.lastIndexOf(':') + 1),
      },
    },
  ],
});

const file = (value: unknown): Entry => ({ kind: 'file', content: Buffer.from(JSON.stringify(value)) });

const blobPath = (digest: string): string => `blobs/${digest.replace(':', '/')}`;

/** Lowest layer first. */
export function ociArchive(spec: ImageSpec, layers: readonly Layer[]): Buffer {
  const config = configOf(spec, layers);
  const layerBlobs = layers.map(layer => blob(LAYER_TYPE, layer.blob));
  const manifest = jsonBlob(MANIFEST, {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: config.descriptor,
    layers: layerBlobs.map(b => b.descriptor),
  });
  const entries: Entries = new Map<string, Entry>([
    ['oci-layout', file({ imageLayoutVersion: '1.0.0' })],
    ['index.json', file(indexOf(spec, manifest.descriptor))],
    ...[config, manifest, ...layerBlobs].map(({ content, descriptor }): [string, Entry] => [
      blobPath(descriptor.digest),
      { kind: 'file', content },
    ]),
  ]);
  return tar(entries);
}
