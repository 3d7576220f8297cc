/**
 * The contract between nodes: every annotation in one table, read here and printed into
 * docs/annotations.md. Nothing throws: a value that does not parse becomes one AnnotationError,
 * and the rest of the Node counts. Pure.
 */
import { ANNOTATION_PREFIX } from '../constants.ts';
import { compareCidrs, parseCidr } from '../ip.ts';
import { parsePublicKey } from '../mesh/key.ts';
import type { PublicKey, Result } from '../types.ts';
import { parseEndpoints, printEndpoints } from './endpoints.ts';
import { parseHostPort, printHostPort } from './hostport.ts';
import type { AnnotationError, Candidate, HostPort, NodeFact } from './types.ts';
import { meant } from './typo.ts';

/** A value, what is wrong with the text, or both where a part of it can be used. */
export type Parsed<T> = { readonly value: T | undefined; readonly errors: readonly string[] };

export type Annotation<T> = {
  readonly name: string;
  readonly writer: 'own agent' | 'user';
  readonly content: string;
  readonly example: string;
  readonly doc: string;
  /** Errors continue the sentence "the value …". */
  readonly parse: (text: string) => Parsed<T>;
  /** Canonical text; parse of it gives the value back. */
  readonly print: (value: T) => string;
};

const all =
  <T>(parse: (text: string) => Result<T>) =>
  (text: string): Parsed<T> => {
    const result = parse(text);
    return result.ok ? { value: result.value, errors: [] } : { value: undefined, errors: [result.error] };
  };

const fail = (error: string): Result<never> => ({ ok: false, error });

const parseLocation = (text: string): Result<string> =>
  /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(text)
    ? { ok: true, value: text }
    : fail(
        'is not a location such as eu-west-1 or home: 1 to 63 letters, digits, ".", "_" and "-", first and last a letter or digit',
      );

const parseKeepalive = (text: string): Result<number> =>
  /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535
    ? { ok: true, value: Number(text) }
    : fail('is not a number of seconds from 0 (off) to 65535, such as 25');

const parseBoolean = (text: string): Result<boolean> =>
  text === 'true' || text === 'false'
    ? { ok: true, value: text === 'true' }
    : fail('is neither true nor false');

const name = (suffix: string): string => `${ANNOTATION_PREFIX}${suffix}`;

/** In the key's place: the node leaves the mesh. Without a word, a key that is gone is taken for an accident. */
export const LEFT = 'left';

const parseToken = (text: string): Result<string> =>
  /^[\x21-\x7e]{1,63}$/.test(text)
    ? { ok: true, value: text }
    : fail('is not a word of 1 to 63 characters without spaces, such as 2026-11-24T20:00:00Z');

/** Every annotation that weft reads or writes, in the order in which they are documented. */
export const annotations = {
  publicKey: {
    name: name('public-key'),
    writer: 'own agent',
    content: 'base64 of an X25519 public key',
    example: 'jHcSvWTnlMVPtYLKOPiC2ZInJShg9CMzqdXWQFtqfkg=',
    doc: 'The node’s WireGuard key. Its agent makes the pair once and keeps the private half in /var/lib/weft/key.json. A Node that never had it is no peer. Where a value does not parse, the last good one stays in use; where the annotation is gone, for as long as the tunnel lives. The word left, which `weft uninstall` writes for a moment, takes the node out of the mesh at once.',
    parse: all(parsePublicKey),
    print: (key: PublicKey) => key,
  } satisfies Annotation<PublicKey>,
  endpoints: {
    name: name('endpoints'),
    writer: 'own agent',
    content: 'JSON list of at most 10 candidates {"t":"host|ext|srflx|portmap","a":"ip:port"}, both families',
    example: '[{"t":"ext","a":"203.0.113.7:51820"},{"t":"host","a":"[fd00:1::7]:51820"}]',
    doc: 'Where the node may be reached, best first: host is an address of its own private networks, ext one that it has towards the world, srflx one that a STUN server saw, portmap one that its router mapped. Candidates that do not parse are reported, the others used.',
    parse: parseEndpoints,
    print: printEndpoints,
  } satisfies Annotation<readonly Candidate[]>,
  forceEndpoint: {
    name: name('force-endpoint'),
    writer: 'user',
    content: 'host:port or [v6]:port',
    example: 'node1.example.org:51820',
    doc: 'The only endpoint by which the others call this node. A DNS name is resolved again every minute; one that does not resolve stops only this peer.',
    parse: all(parseHostPort),
    print: printHostPort,
  } satisfies Annotation<HostPort>,
  location: {
    name: name('location'),
    writer: 'user',
    content: '1 to 63 letters, digits, ".", "_" and "-"',
    example: 'home',
    doc: 'Nodes of one location try each other’s private addresses first. Overrides the label topology.kubernetes.io/region.',
    parse: all(parseLocation),
    print: (location: string) => location,
  } satisfies Annotation<string>,
  keepalive: {
    name: name('persistent-keepalive'),
    writer: 'user',
    content: 'seconds, 0 to 65535',
    example: '25',
    doc: 'How often this node keeps its tunnels alive; 0 turns it off. Overrides the setting keepalive.',
    parse: all(parseKeepalive),
    print: String as (seconds: number) => string,
  } satisfies Annotation<number>,
  relay: {
    name: name('relay'),
    writer: 'user',
    content: 'true or false',
    example: 'false',
    doc: 'false: never relay for others.',
    parse: all(parseBoolean),
    print: String as (relay: boolean) => string,
  } satisfies Annotation<boolean>,
  rotateKey: {
    name: name('rotate-key'),
    writer: 'user',
    content: '1 to 63 printable characters without spaces',
    example: '2026-11-24T20:00:00Z',
    doc: 'Any value that was not there before makes the node change its WireGuard key, once. `weft rotate-key` writes the time here.',
    parse: all(parseToken),
    print: (token: string) => token,
  } satisfies Annotation<string>,
  keyRotated: {
    name: name('key-rotated'),
    writer: 'own agent',
    content: 'as rotate-key',
    example: '2026-11-24T20:00:00Z',
    doc: 'The value of rotate-key that was carried out last: the new key is published, and every peer that had a session has one with the new key.',
    parse: all(parseToken),
    print: (token: string) => token,
  } satisfies Annotation<string>,
} as const;

/** Overridden by the annotation location. */
const REGION_LABEL = 'topology.kubernetes.io/region';

type Json = Readonly<Record<string, unknown>>;

const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});

/** Not by String(): an object from JSON may have a `toString` of its own that is no function. */
const show = (value: unknown): string => {
  const text = typeof value === 'string' ? value : Object.prototype.toString.call(value);
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
};

const complain = (annotation: string, value: unknown, errors: readonly string[]): AnnotationError[] =>
  errors.length === 0 ? [] : [{ annotation, value: show(value), message: `the value ${errors.join('; ')}` }];

const own = (values: Json, key: string): unknown => (Object.hasOwn(values, key) ? values[key] : undefined);

/** The value, if there is a good one; what is wrong with it goes to `errors`. */
export function readAnnotation<T>(
  values: Json,
  entry: Annotation<T>,
  errors: AnnotationError[],
): T | undefined {
  const text = own(values, entry.name);
  if (text === undefined) return undefined;
  const parsed: Parsed<T> =
    typeof text === 'string' ? entry.parse(text) : { value: undefined, errors: ['is not a string'] };
  errors.push(...complain(entry.name, text, parsed.errors));
  return parsed.value;
}

const KNOWN: readonly string[] = Object.values(annotations).map(entry => entry.name);

/** An unknown name may be that of a newer weft and is left alone, unless it looks like a slip. */
function slips(values: Json): AnnotationError[] {
  const ours = Object.keys(values)
    .filter(key => key.startsWith(ANNOTATION_PREFIX))
    .sort();
  return ours.flatMap(key => {
    const known = meant(key, KNOWN);
    return known === undefined
      ? []
      : [
          {
            annotation: key,
            value: show(values[key]),
            message: `there is no such annotation; ${known} is meant?`,
          },
        ];
  });
}

const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

const isName = (value: unknown): value is string =>
  typeof value === 'string' && /^[^\s/]{1,253}$/.test(value);

/** The name under which errors of spec.podCIDRs are reported. */
const POD_CIDRS = 'spec.podCIDRs';

/** The same Node with these podCIDRs, sorted; those that do not parse become errors. */
export function withPodCidrs(fact: NodeFact, podCidrs: readonly string[]): NodeFact {
  const parsed = podCidrs.map(text => ({ text, cidr: parseCidr(text) }));
  const cidrs = parsed.flatMap(({ cidr }) => (cidr.ok ? [cidr.value] : [])).sort(compareCidrs);
  const errors = parsed.flatMap(({ text, cidr }) =>
    cidr.ok ? [] : complain(POD_CIDRS, text, [`is wrong: ${cidr.error}`]),
  );
  return {
    ...fact,
    podCidrs: cidrs,
    errors: [...fact.errors.filter(e => e.annotation !== POD_CIDRS), ...errors],
  };
}

/**
 * `meta`: a Node or its PartialObjectMetadata, parsed JSON. Fails only where it is none:
 * without name, uid or creationTimestamp.
 */
export function parseNode(meta: unknown, podCidrs: readonly string[]): Result<NodeFact> {
  const { name, uid, creationTimestamp, annotations: given, labels } = record(record(meta).metadata);
  if (!isName(name)) return fail('an object without metadata.name is no Node');
  if (!isName(uid)) return fail(`Node ${name} has no metadata.uid`);
  if (typeof creationTimestamp !== 'string' || !RFC3339.test(creationTimestamp))
    return fail(`Node ${name} has no metadata.creationTimestamp`);
  const values = record(given);
  const region = own(record(labels), REGION_LABEL);
  const errors: AnnotationError[] = [];
  const left = own(values, annotations.publicKey.name) === LEFT;
  const fact: NodeFact = {
    name,
    uid,
    createdAt: creationTimestamp,
    podCidrs: [],
    publicKey: left ? undefined : readAnnotation(values, annotations.publicKey, errors),
    ...(left && { left }),
    endpoints: readAnnotation(values, annotations.endpoints, errors) ?? [],
    forceEndpoint: readAnnotation(values, annotations.forceEndpoint, errors),
    location:
      readAnnotation(values, annotations.location, errors) ??
      (typeof region === 'string' && region !== '' ? region : undefined),
    keepalive: readAnnotation(values, annotations.keepalive, errors),
    relay: readAnnotation(values, annotations.relay, errors) ?? true,
    errors,
  };
  // The own agent reads these two of its own Node; here only what is wrong with them is told.
  readAnnotation(values, annotations.rotateKey, errors);
  readAnnotation(values, annotations.keyRotated, errors);
  errors.push(...slips(values));
  return { ok: true, value: withPodCidrs(fact, podCidrs) };
}
