/**
 * networking.k8s.io/v1 NetworkPolicy, and v1 Pod and Namespace, as the API sends them → what the
 * engine reads. A policy that is broken, or newer than weft, isolates the pods that it selects and
 * admits nobody where it is not understood. Pure.
 */
import { parseIp } from '../ip.ts';
import type { Ip, Result } from '../types.ts';
import {
  isAbsent,
  isObject,
  listOf,
  newReader,
  objectOf,
  type Reader,
  readList,
  readObject,
  show,
  textOf,
} from './fields.ts';
import { readRule } from './parserule.ts';
import { readSelector } from './parseselector.ts';
import type { ContainerPort, Labels, Namespace, Pod, PodKey, Policy, PolicyKey, Rule } from './types.ts';

const fail = (error: string): Result<never> => ({ ok: false, error });

const labelsOf = (value: unknown): Labels =>
  new Map(
    Object.entries(objectOf(value)).filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string',
    ),
  );

type Named = { readonly namespace: string; readonly name: string };

function named(kind: string, object: unknown): Result<Named> {
  const metadata = objectOf(objectOf(object).metadata);
  const namespace = textOf(metadata.namespace);
  const name = textOf(metadata.name);
  return namespace !== '' && name !== ''
    ? { ok: true, value: { namespace, name } }
    : fail(`an object that should be a ${kind} has no metadata.namespace and metadata.name: ${show(object)}`);
}

const SPEC = ['podSelector', 'policyTypes', 'ingress', 'egress'] as const;
const NOTHING = 'the policy admits nobody until it is mended';

function rulesOf(reader: Reader, field: 'ingress' | 'egress', value: unknown): readonly Rule[] {
  const list = readList(reader, `spec.${field}`, value, NOTHING) ?? [];
  return list.map((item, n) =>
    readRule(reader, `spec.${field}[${n}]`, item, field === 'ingress' ? 'from' : 'to'),
  );
}

type Types = { readonly ingress: boolean; readonly egress: boolean };

/** Defaults as the API server sets them; tools that read files must set them too. */
function typesOf(reader: Reader, value: unknown, egressRules: number): Types {
  const known = listOf(value).filter(item => item === 'Ingress' || item === 'Egress');
  if (!isAbsent(value) && (!Array.isArray(value) || known.length < value.length))
    reader.wrong(
      'spec.policyTypes',
      `${show(value)} is not a list of Ingress and Egress; what else is in it is ignored`,
    );
  return known.length > 0
    ? { ingress: known.includes('Ingress'), egress: known.includes('Egress') }
    : { ingress: true, egress: egressRules > 0 };
}

/** Fails only without a name; what else is wrong is in `errors`. */
export function parsePolicy(object: unknown): Result<Policy> {
  const id = named('NetworkPolicy', object);
  if (!id.ok) return id;
  const { namespace, name } = id.value;
  const reader = newReader();
  const raw = objectOf(object).spec;
  const whole = readObject(reader, 'spec', raw ?? {}, SPEC, NOTHING) !== undefined;
  const spec = objectOf(raw);
  const pods = readSelector(reader, 'spec.podSelector', spec.podSelector).selector;
  const ingress = rulesOf(reader, 'ingress', spec.ingress);
  const egress = rulesOf(reader, 'egress', spec.egress);
  const types = typesOf(reader, spec.policyTypes, egress.length);
  const kept = (speaks: boolean, rules: readonly Rule[]): readonly Rule[] | undefined =>
    speaks ? (whole ? rules : []) : undefined;
  return {
    ok: true,
    value: {
      key: `${namespace}/${name}` as PolicyKey,
      namespace,
      name,
      pods,
      ingress: kept(types.ingress, ingress),
      egress: kept(types.egress, egress),
      errors: reader.errors,
    },
  };
}

function portsOf(container: unknown): readonly ContainerPort[] {
  return listOf(objectOf(container).ports).flatMap(item => {
    const { name, containerPort, protocol } = objectOf(item);
    const known = protocol === 'UDP' || protocol === 'SCTP' ? protocol : 'TCP';
    return typeof name === 'string' && name !== '' && typeof containerPort === 'number'
      ? [{ name, protocol: known, port: containerPort }]
      : [];
  });
}

/** Sidecars are init containers that go on running. */
const running = (spec: Readonly<Record<string, unknown>>): readonly unknown[] => [
  ...listOf(spec.containers),
  ...listOf(spec.initContainers).filter(item => objectOf(item).restartPolicy === 'Always'),
];

function ipsOf(status: Readonly<Record<string, unknown>>): readonly Ip[] {
  const texts = [...listOf(status.podIPs).map(item => objectOf(item).ip), status.podIP].filter(
    text => typeof text === 'string',
  );
  const parsed = texts.map(parseIp).flatMap(ip => (ip.ok ? [ip.value] : []));
  return [...new Set(parsed)];
}

/** Fails only without a name: what a pod's status has of nonsense counts as not there. */
export function parsePod(object: unknown): Result<Pod> {
  const id = named('Pod', object);
  if (!id.ok) return id;
  const { metadata, spec, status } = object as Readonly<Record<string, unknown>>;
  const { phase } = objectOf(status);
  return {
    ok: true,
    value: {
      key: `${id.value.namespace}/${id.value.name}` as PodKey,
      ...id.value,
      uid: textOf(objectOf(metadata).uid),
      labels: labelsOf(objectOf(metadata).labels),
      ips: ipsOf(objectOf(status)),
      node: textOf(objectOf(spec).nodeName),
      hostNetwork: objectOf(spec).hostNetwork === true,
      done: phase === 'Succeeded' || phase === 'Failed',
      ports: running(objectOf(spec)).flatMap(portsOf),
    },
  };
}

export function parseNamespace(object: unknown): Result<Namespace> {
  const metadata = isObject(object) ? objectOf(object.metadata) : {};
  const name = textOf(metadata.name);
  return name === ''
    ? fail(`an object that should be a Namespace has no metadata.name: ${show(object)}`)
    : { ok: true, value: { name, labels: labelsOf(metadata.labels) } };
}
