/**
 * Links are what ADD takes longest for, and they can be begun as soon as the binary has said hello: the rest
 * of the call is read and worked out meanwhile. A call that is refused after all has them taken away.
 *
 * The next pod is most likely like the last one, with the next address: while nobody waits, its messages are
 * composed, but for the name of the host's end, which is a hash of what the runtime calls the pod.
 */
import type { LinuxKernel } from '../platform/linux/kernel.ts';
import type { Ip } from '../types.ts';
import { beginLinks, giveUp, knownBridge, type Prepared } from './attach.ts';
import { answersOf, composeLinks, composeWiring, type Ends, type Links, type Wiring } from './compose.ts';
import { type Lease, leaseKey } from './lease.ts';
import { linkName, randomMac } from './plumb.ts';
import type { PodSide, Session } from './session.ts';
import type { VerbDeps } from './verbs.ts';
import { encodeProgram, type Hello } from './wire.ts';

export type HeadStart = {
  readonly ends: Ends;
  /** Once; whoever takes them has to see to their end. The wiring too, where it is that of this lease. */
  readonly take: (lease: Lease) => Prepared | undefined;
  /** Resolves when links that nobody took are gone. */
  readonly giveUp: () => Promise<void>;
  /** The binary has all it needs of us: the next one's messages are composed while it works. */
  readonly sent: () => void;
};

/** What a spare is of use for. */
type Shape = {
  readonly podFd: number;
  readonly bridge: number;
  readonly mtu: number;
  readonly ifname: string;
  readonly gateways: readonly Ip[];
};

type Spare = {
  readonly shape: Shape;
  readonly macs: Pick<Ends, 'hostMac' | 'podMac'>;
  readonly links: { readonly made: Links; readonly frame: Buffer };
  readonly wiring: { readonly made: Wiring; readonly ips: readonly Ip[] } | undefined;
};

const spares = new WeakMap<LinuxKernel, Spare>();

/** As long as every name of `linkName`, and none of them. */
const NAMELESS = linkName('', '').replace(/./g, '?');

const newMacs = () => ({ hostMac: randomMac(), podMac: randomMac() });

function composeSpare({ kernel, book }: VerbDeps, shape: Shape): Spare {
  const { ifname, mtu, gateways } = shape;
  const ends: Ends = { ...newMacs(), link: NAMELESS, ifname, mtu };
  const links = composeLinks(kernel, shape.podFd, ends, shape.bridge);
  const ips = book.next();
  const wiring =
    ips &&
    composeWiring(kernel, { ...ends, ips, network: '', containerId: '', pod: undefined }, gateways, links);
  return {
    shape,
    macs: ends,
    links: { made: links, frame: encodeProgram(links.to.take(), 'b') },
    wiring: wiring && { made: wiring, ips },
  };
}

const isLike = (a: Shape, b: Shape): boolean =>
  a.podFd === b.podFd &&
  a.bridge === b.bridge &&
  a.mtu === b.mtu &&
  a.ifname === b.ifname &&
  a.gateways.join() === b.gateways.join();

/** Of a burst of pods each would leave one, and all but the last would be for nobody. */
function isReady({ kernel, book }: VerbDeps, shape: Shape): boolean {
  const spare = spares.get(kernel);
  return (
    spare !== undefined && isLike(spare.shape, shape) && spare.wiring?.ips.join() === book.next()?.join()
  );
}

function leaveSpare(deps: VerbDeps, shape: Shape): void {
  try {
    if (isReady(deps, shape)) return;
    const spare = composeSpare(deps, shape);
    spares.set(deps.kernel, spare);
    const drop = (): void => {
      if (spares.get(deps.kernel) === spare) spares.delete(deps.kernel);
    };
    // A message that could not be composed is missing in it.
    for (const message of [spare.links.made.made, ...(spare.wiring ? answersOf(spare.wiring.made) : [])])
      message.catch(drop);
  } catch (error) {
    deps.log.debug({ error: String(error) }, 'the next pod’s messages cannot be composed beforehand');
  }
}

function rename(frame: Buffer, link: string): void {
  for (let at = frame.indexOf(NAMELESS); at >= 0; at = frame.indexOf(NAMELESS, at))
    frame.write(link, at, 'latin1');
}

function begin(deps: VerbDeps, pod: PodSide, shape: Shape, link: string): HeadStart {
  const { kernel } = deps;
  const found = spares.get(kernel);
  spares.delete(kernel);
  const spare = found && isLike(found.shape, shape) ? found : undefined;
  const ends: Ends = { ...(spare?.macs ?? newMacs()), link, ifname: shape.ifname, mtu: shape.mtu };
  if (spare !== undefined) rename(spare.links.frame, link);
  const links = spare?.links.made ?? composeLinks(kernel, pod.podFd, ends, shape.bridge);
  beginLinks(pod, links, spare?.links.frame);

  let taken = false;
  const take = (lease: Lease): Prepared | undefined => {
    if (taken) return undefined;
    taken = true;
    const ready = spare?.wiring;
    if (ready?.ips.join() !== lease.ips.join()) return { links };
    for (const frame of ready.made.frames) rename(frame, link);
    return { links, wiring: ready.made };
  };
  return {
    ends,
    take,
    giveUp: async () => {
      if (taken) return;
      taken = true;
      await giveUp(kernel, pod, links, link);
    },
    sent: () => void setImmediate(leaveSpare, deps, shape),
  };
}

/** Somebody asks for a MAC of the pod's, most likely; as a capability the word is in every call. */
const asksForMac = ({ env, stdin }: Hello): boolean =>
  /"mac"\s*:\s*"/.test(stdin.toString('latin1')) || (env.get('CNI_ARGS') ?? '').includes('MAC=');

/** Only where an ordinary ADD is likely to go well, and nothing of the same name is at work. */
export function openHeadStart(deps: VerbDeps, hello: Hello, session: Session): HeadStart | undefined {
  if (hello.env.get('CNI_COMMAND') !== 'ADD' || asksForMac(hello)) return undefined;
  const ready = deps.ready();
  const bridge = knownBridge(deps.kernel);
  const [containerId = '', ifname = ''] = [hello.env.get('CNI_CONTAINERID'), hello.env.get('CNI_IFNAME')];
  const key = leaseKey({ containerId, ifname });
  if ('reason' in ready || bridge === undefined || deps.keyed.busy(key) || deps.book.get(key) !== undefined)
    return undefined;
  const pod = session.entered();
  if (pod === undefined || ifname === '') return undefined;
  const { mtu, gateways } = ready;
  const shape = { podFd: pod.podFd, bridge, mtu, ifname, gateways };
  return begin(deps, pod, shape, linkName(containerId, ifname));
}
