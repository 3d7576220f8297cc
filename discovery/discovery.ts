/**
 * Who is there: Nodes in, facts out, and what we say of ourselves. Starts with the facts on
 * disk and never needs the API server to answer; handlers only tell that something changed.
 */
import type { Log } from '../agent/log.ts';
import type { Publication } from '../mesh/rounds.ts';
import type { Ip } from '../types.ts';
import { parseNode } from './annotations.ts';
import type { Client } from './client.ts';
import { type Clock, systemClock } from './clock.ts';
import { startCondition } from './condition.ts';
import { type EventType, startEvents } from './events.ts';
import { type OwnNode, type RotationNotes, startOwn } from './own.ts';
import { startPodCidrs } from './podcidrs.ts';
import { type Shown, startPublisher, type WantedState } from './publish.ts';
import { type Lookup, startResolver, systemLookup } from './resolve.ts';
import { loadState, startStateSaver } from './saver.ts';
import { podCidrsOf } from './state.ts';
import { openStore } from './store.ts';
import type { NodeFact, OwnAddresses, WatchState } from './types.ts';
import { startWatch, type WatchLimits } from './watch.ts';
import type { KubeObject } from './watchevent.ts';

const NODES = '/api/v1/nodes';

export type DiscoveryOptions = {
  readonly client: Client;
  readonly nodeName: string;
  /** Holds nodes.json; made with mode 0700 where it is missing. */
  readonly stateDir: string;
  readonly log: Log;
  /** Something that a getter returns has changed. Called often; must be cheap. */
  readonly onChange: () => void;
  readonly clock?: Clock;
  readonly lookup?: Lookup;
  readonly limits?: WatchLimits;
};

export type Discovery = {
  /** All Nodes, sorted by name; the same array until something changes. */
  readonly facts: () => readonly NodeFact[];
  /** Addresses are empty until the API server has answered. */
  readonly own: () => { readonly fact: NodeFact; readonly addresses: OwnAddresses } | undefined;
  readonly state: () => WatchState;
  /** Host of a force-endpoint → its addresses, literal ones too. */
  readonly resolved: () => ReadonlyMap<string, readonly Ip[]>;
  /** The peer of this force-endpoint's host is silent: look its name up again, as often as you like to say so. */
  readonly lookAgain: (host: string) => void;
  /** The key that this Node has ceased to show is of no use any more. */
  readonly letGo: (uid: string) => void;
  /** What our Node shall show from now on; the same again costs nothing. */
  readonly publish: (wanted: WantedState) => void;
  readonly publication: () => Publication;
  /** The key that our Node shows; undefined: the API server has not told in this life. */
  readonly shown: () => Shown | undefined;
  /** Milliseconds until our Node may be written again. */
  readonly busyFor: () => number;
  /** What our Node says of its key's rotation: the token asked for, and the one that is done. */
  readonly rotation: () => RotationNotes;
  /** Reads our Node again, and tells when that is done. */
  readonly lookAtOwn: () => void;
  /** An Event on our Node; the same one again costs nothing. Type Warning unless given. */
  readonly event: (reason: string, message: string, type?: EventType) => void;
  /** Pods can be wired on this node: a condition NetworkUnavailable is cleared from now on. */
  readonly networkReady: () => void;
  /** Saves the facts and ends every connection. */
  readonly close: () => Promise<void>;
};

const NO_ADDRESSES: OwnAddresses = { internal: [], external: [] };

/** Resolves at once, with the facts of the last run. */
export async function startDiscovery(options: DiscoveryOptions): Promise<Discovery> {
  const { client, nodeName, stateDir, log, onChange } = options;
  const clock = options.clock ?? systemClock;
  const store = openStore(loadState(stateDir, log));
  const shared = { client, path: NODES, nodeName, log, clock };
  let ownNode: OwnNode | undefined;
  /** Somebody waits for our Node to be read. */
  let looking = false;

  const resolver = startResolver({ lookup: options.lookup ?? systemLookup, onChange, log, clock });
  const saver = startStateSaver(stateDir, store.facts, log, clock);
  const publisher = startPublisher({
    ...shared,
    lastKnownKey: store.byName(nodeName)?.publicKey,
    onPublished: onChange,
  });
  const condition = startCondition(shared);
  const events = startEvents({
    client,
    node: () => ({ name: nodeName, uid: store.byName(nodeName)?.uid ?? ownNode?.uid ?? nodeName }),
    log,
    clock,
  });

  const reportOwn = (): void => {
    for (const { annotation, value, message } of store.byName(nodeName)?.errors ?? [])
      events.post('InvalidAnnotation', `${annotation}=${JSON.stringify(value)} is ignored: ${message}`);
  };

  const resolveAll = (): void => {
    const hosts: string[] = [];
    for (const { forceEndpoint } of store.facts())
      if (forceEndpoint !== undefined) hosts.push(forceEndpoint.host);
    resolver.want(hosts);
  };

  let telling = false;
  const tell = (): void => {
    telling = false;
    resolveAll();
    reportOwn();
    saver.mark();
    onChange();
  };

  /** A page of Nodes comes in one go: each look over all facts is made once for it. */
  const changed = (really: boolean): void => {
    if (!really || telling) return;
    telling = true;
    queueMicrotask(tell);
  };

  const podCidrs = startPodCidrs({
    ...shared,
    missing: () => store.facts().filter(fact => fact.podCidrs.length === 0),
    found: (uid, cidrs) => changed(store.setPodCidrs(uid, cidrs)),
  });

  const own = startOwn({
    ...shared,
    seen: node => {
      const moved =
        JSON.stringify([node.addresses, node.rotation]) !==
        JSON.stringify([ownNode?.addresses, ownNode?.rotation]);
      ownNode = node;
      const asked = looking;
      looking = false;
      publisher.saw(node.annotations);
      condition.saw(node.networkUnavailable);
      if (node.podCidrs.length > 0) changed(store.setPodCidrs(node.uid, node.podCidrs));
      if (moved || asked) onChange();
    },
  });

  const read = (object: KubeObject): NodeFact | undefined => {
    const fact = parseNode(object, podCidrsOf(object));
    if (fact.ok) return fact.value;
    log.warn({ error: fact.error }, 'an object of the API server is left out');
    return undefined;
  };

  const watch = startWatch({
    ...shared,
    ...(options.limits && { limits: options.limits }),
    forbidden: sentence => events.post('WeftForbidden', sentence),
    handlers: {
      read,
      known: store.ids,
      idOf: fact => fact.uid,
      listed: (facts, whole) => {
        changed(store.list(facts, whole));
        podCidrs.mark();
        own.mark();
      },
      changed: fact => {
        changed(store.put(fact));
        podCidrs.mark(fact.uid);
        if (fact.name === nodeName) own.mark();
      },
      deleted: fact => changed(store.remove(fact.uid)),
      state: onChange,
    },
  });

  resolveAll();
  return {
    facts: store.facts,
    own: () => {
      const fact = store.byName(nodeName);
      return fact && { fact, addresses: ownNode?.addresses ?? NO_ADDRESSES };
    },
    state: watch.state,
    resolved: resolver.resolved,
    lookAgain: resolver.hurry,
    letGo: uid => changed(store.letGo(uid)),
    publish: publisher.want,
    publication: publisher.publication,
    shown: publisher.shown,
    busyFor: publisher.busyFor,
    rotation: () => ownNode?.rotation ?? {},
    lookAtOwn: () => {
      looking = true;
      own.mark();
    },
    event: events.post,
    networkReady: condition.ready,
    close: async () => {
      await Promise.all(
        [watch, own, podCidrs, publisher, condition, events, resolver].map(part => part.close()),
      );
      await saver.close();
    },
  };
}
