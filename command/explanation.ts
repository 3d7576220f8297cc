/** What `weft explain` finds out: of two ends the way and the policies, of a Service that of each backend. */
import type { Judgement } from '../agent/policy.ts';
import { familyOf } from '../ip.ts';
import type { Packet } from '../policy/types.ts';
import type { Ip } from '../types.ts';
import type { Agents } from './agents.ts';
import { askedPolicy } from './judgement.ts';
import { type MeshReport, readMesh } from './reports.ts';
import { type End, endsOf, routeOf, type Step } from './route.ts';
import {
  addressesOf,
  type Backend,
  backendsOf,
  chooseBackends,
  isHeadless,
  type Service,
} from './service.ts';
import { portOf } from './serviceport.ts';
import type { Services } from './services.ts';
import { type Target, whoText } from './target.ts';
import { UsageError } from './types.ts';

export type Explanation = {
  readonly from: End;
  readonly to: End;
  readonly protocol: Packet['protocol'];
  readonly port: number | undefined;
  readonly verdict: 'arrives' | 'lost' | 'denied' | 'unknown';
  readonly steps: readonly Step[];
  readonly policy: Judgement;
  /** Only where TO is a Service. */
  readonly service?: { readonly name: string; readonly type: string; readonly endpoints: number };
  /** The way to each that kube-proxy may choose; the verdict is the worst of theirs. */
  readonly backends?: readonly Explanation[];
};

export type Question = {
  readonly agents: Agents;
  /** Only this node's agent is asked. */
  readonly node: string | undefined;
  readonly source: Target;
  readonly target: Target;
  /** Rejects where there is no way to the API server. */
  readonly services: () => Promise<Services>;
};

/** Worst first. */
const VERDICTS = ['lost', 'denied', 'unknown', 'arrives'] as const;

function verdictOf(steps: readonly Step[], allowed: boolean | undefined): Explanation['verdict'] {
  if (steps.some(step => step.result === 'lost')) return 'lost';
  if (allowed === false) return 'denied';
  return allowed === undefined || steps.some(step => step.result === 'unknown') ? 'unknown' : 'arrives';
}

function endOf(mesh: MeshReport, target: Target, family: 4 | 6 | undefined): End {
  const ends = endsOf(mesh, target);
  const [end] = family === undefined ? ends : ends.filter(e => familyOf(e.ip) === family);
  if (end !== undefined) return end;
  const why =
    ends.length > 0
      ? `has no IPv${family} address, and the other end no other one`
      : `is known to no agent that was asked${mesh.kind === 'local' ? ' (only this node’s was)' : ''}: is it running, in this namespace, and without hostNetwork? Its address works here too`;
  throw new Error(`${whoText(target.who)} ${why}`);
}

type Way = { readonly from: End; readonly to: End; readonly packet: Packet; readonly lookup?: string };

async function explainWay(
  agents: Agents,
  mesh: MeshReport,
  { from, to, packet, lookup }: Way,
): Promise<Explanation> {
  const steps = routeOf(mesh, from, to, lookup);
  const policy = await askedPolicy(agents, [to.node, from.node], packet);
  const { protocol, port } = packet;
  const shown = protocol === 'ICMP' ? undefined : port;
  return { from, to, protocol, port: shown, verdict: verdictOf(steps, policy.allowed), steps, policy };
}

const NOBODY: Judgement = { allowed: undefined, words: ['there is nobody whom it could hold for'] };

/** One that is allowed by all; denied where one is; else not known. */
function together(backends: readonly Explanation[]): Judgement {
  if (backends.length === 0) return NOBODY;
  const verdicts = backends.map(b => b.policy.allowed);
  const allowed = verdicts.includes(false) ? false : verdicts.includes(undefined) ? undefined : true;
  return { allowed, words: ['policies see the backend, not the Service: see each'] };
}

/** So many backends are explained, and asked about at a time. */
const MOST = 20;

const backendEnd = (mesh: MeshReport, { ip, node, pod }: Backend): End => {
  const [end] = endsOf(mesh, { who: { kind: 'ip', ip } });
  return { ip, pod: end?.pod ?? pod, node: end?.node, link: end?.link, host: end?.node ? undefined : node };
};

type Hit = { readonly service: Service; readonly ip: Ip | undefined };

async function explainService(q: Question, mesh: MeshReport, { service, ip }: Hit): Promise<Explanation> {
  const { namespace, name, type, externalName, clusterIps } = service;
  if (externalName !== undefined)
    throw new UsageError(
      `Service ${namespace}/${name} is only another name for ${externalName}, of which weft knows nothing: say its address`,
    );
  const port = portOf(service, q.target);
  const own = endsOf(mesh, q.source);
  const families = (ip === undefined ? clusterIps : [ip]).map(familyOf);
  const from =
    own.find(e => families.length === 0 || families.includes(familyOf(e.ip))) ??
    endOf(mesh, q.source, families[0]);
  const family = familyOf(from.ip);
  const slices = await (await q.services()).slices(service);
  // A name is asked of DNS (SRV), which knows the pods' own ports; a number nobody translates.
  const untranslated = isHeadless(service) && typeof q.target.port !== 'string';
  const all = untranslated ? addressesOf(slices, port.port, family) : backendsOf(slices, port, family);
  const { chosen, what } = chooseBackends(service, all, from.node);
  const backends = await Promise.all(
    chosen.slice(0, MOST).map(backend => {
      const packet = { src: from.ip, dst: backend.ip, protocol: port.protocol, port: backend.port };
      return explainWay(q.agents, mesh, { from, to: backendEnd(mesh, backend), packet });
    }),
  );
  const more = chosen.length > MOST ? `; the first ${MOST} are looked at` : '';
  const step: Step = {
    node: from.node ?? '-',
    result: chosen.length === 0 ? 'lost' : 'ok',
    what: `${what}${more}`,
  };
  const at = ip ?? clusterIps.find(c => familyOf(c) === family) ?? chosen[0]?.ip ?? from.ip;
  return {
    from,
    to: { ip: at, pod: undefined, node: undefined, link: undefined },
    protocol: port.protocol,
    port: port.port,
    verdict:
      chosen.length === 0 ? 'lost' : (VERDICTS.find(v => backends.some(b => b.verdict === v)) ?? 'unknown'),
    steps: [step],
    policy: together(backends),
    service: { name: `${namespace}/${name}`, type, endpoints: all.length },
    backends,
  };
}

/** An address that is no pod's and no node's may be a Service's. */
async function serviceAt(q: Question, mesh: MeshReport): Promise<Hit | string | undefined> {
  const { who } = q.target;
  if (who.kind === 'service')
    return { service: await (await q.services()).named(who.namespace, who.name), ip: undefined };
  if (who.kind !== 'ip' || endsOf(mesh, q.target).some(end => end.node !== undefined)) return undefined;
  try {
    const service = await (await q.services()).at(who.ip);
    return service === undefined ? 'it is no Service’s' : { service, ip: who.ip };
  } catch (error) {
    return `whether it is a Service’s is not known: ${error instanceof Error ? error.message : String(error)}`;
  }
}

export async function explainAll(q: Question): Promise<Explanation> {
  const { agents, source, target } = q;
  if (source.who.kind === 'service')
    throw new UsageError(`${whoText(source.who)} sends nothing: say the pod that does`);
  const mesh = await readMesh(agents, q.node);
  const found = await serviceAt(q, mesh);
  if (typeof found === 'object') return explainService(q, mesh, found);
  if (typeof target.port === 'string')
    throw new UsageError(`port ${target.port}: only a Service’s ports have names: say a number`);
  const families = endsOf(mesh, target).map(end => familyOf(end.ip));
  const own = endsOf(mesh, source).map(end => familyOf(end.ip));
  const family = own.find(f => families.includes(f)) ?? families[0];
  const [from, to] = [endOf(mesh, source, family), endOf(mesh, target, family)];
  const protocol = target.port === undefined ? 'ICMP' : (target.protocol ?? 'TCP');
  const packet: Packet = { src: from.ip, dst: to.ip, protocol, port: target.port ?? 0 };
  return explainWay(agents, mesh, { from, to, packet, ...(found !== undefined && { lookup: found }) });
}
