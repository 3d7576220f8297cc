/** What of an object a client wants to see: all of it, or its metadata alone. Pure. */
import type { KubeObject } from './object.ts';

export type View = 'whole' | 'metadata';

const wants = (accept: string, kind: string): boolean =>
  accept.split(',').some(part => part.includes(`as=${kind}`) && part.includes('g=meta.k8s.io'));

/** From the Accept header. A list is asked for as PartialObjectMetadataList, the rest as PartialObjectMetadata. */
export const viewOf = (accept: string | undefined, list: boolean): View =>
  wants(accept ?? '', list ? 'PartialObjectMetadataList' : 'PartialObjectMetadata') ? 'metadata' : 'whole';

export const show = (object: KubeObject, view: View) =>
  view === 'whole'
    ? object
    : { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
