/** What a doctor is told of a node, and what it says. Data only. */
import type { StatusReport } from '../agent/report.ts';
import type { Right } from '../discovery/rights.ts';
import type { HostFacts } from '../host/types.ts';
import type { Engine } from '../platform/linux/engine.ts';
import type { WgDevice } from '../platform/linux/types.ts';
import type { PublicKey, Result } from '../types.ts';

/** error: something does not work; warning: something is lost or may break; info: good to know; ok: looked at, and well. */
export type Grade = 'ok' | 'info' | 'warning' | 'error';

export type Check = {
  /** Stable, for programs: `kernel wireguard`. */
  readonly id: string;
  readonly grade: Grade;
  /** What is so, and what follows from it. */
  readonly what: string;
  /** What to do; undefined where nothing is needed. */
  readonly cure: string | undefined;
};

/** What of a node's kernel is looked at, with an agent or without. */
export type KernelFacts = {
  readonly status: { readonly engine: Engine; readonly podCidrs: readonly string[] };
  /** `6.1.0-18-amd64`. */
  readonly kernelRelease: string;
  /** Our nft tables as the kernel has them. */
  readonly tables: { readonly mesh: boolean; readonly spoofing: boolean };
  readonly antiSpoofing: boolean;
  /** Parts of the kernel that are loaded or built in, as far as /sys/module tells. */
  readonly modules: Readonly<Record<string, boolean>>;
  /** Below /proc/sys/net; undefined: there is no such key. */
  readonly sysctls: Readonly<Record<string, string | undefined>>;
};

export type NodeFacts = KernelFacts & {
  readonly status: StatusReport;
  /** What kube-proxy says of itself on its own port; undefined: nobody answers there. */
  readonly proxyMode: string | undefined;
  readonly rights: readonly (Right & { readonly allowed: boolean | undefined })[];
  /** Whether the API server refuses us what only the admission policy forbids; undefined: it could not be asked. */
  readonly guarded: boolean | undefined;
  /** Of our own Node as the API server has it; undefined: it could not be asked. */
  readonly node: { readonly kubeletVersion: string; readonly notReady: string | undefined } | undefined;
  readonly cniBinDir: string;
  readonly cniConfDir: string;
  readonly clusterCidrsSet: boolean;
  /** The file of settings as it is now, what is wrong in it, and which settings are not those in force. */
  readonly settings: {
    readonly path: string | undefined;
    readonly error: string | undefined;
    readonly changed: readonly string[];
  };
};

/** What can be seen of a node whose agent does not answer. */
export type BareFacts = Omit<KernelFacts, 'status'> & {
  /** Name of this Node, where it is known. */
  readonly node: string | undefined;
  /** Milliseconds since the epoch, as handshakes are. */
  readonly now: number;
  /** Why the agent cannot be asked; undefined: it answers. */
  readonly agent: string | undefined;
  /** The file of settings, where there is one here, and what is wrong in it. */
  readonly settings: { readonly path: string | undefined; readonly error: string | undefined };
  /** Of the key file; undefined: there is none. */
  readonly key: Result<PublicKey | undefined>;
  /** Undefined: there is no link. */
  readonly engine: Engine | undefined;
  /** In place of a status: engine, and addresses of the bridge for their families. */
  readonly like: KernelFacts['status'];
  readonly device: WgDevice | undefined;
  /** Nodes by their keys, as the agent last knew them. */
  readonly names: ReadonlyMap<PublicKey, string>;
  readonly bridge: boolean;
  /** Number of our routes, of pods' interfaces, of DELs that wait for the agent. */
  readonly routes: number;
  readonly leases: number;
  readonly queued: number;
  readonly cni: {
    readonly binDir: string;
    readonly confDir: string;
    readonly binary: boolean;
    readonly config: boolean;
    readonly earlier: readonly string[];
    /** weft has been ready since boot. */
    readonly ready: boolean;
  };
  /** Why nft could not be asked; undefined: it was. */
  readonly nft: string | undefined;
  readonly host: HostFacts | undefined;
};

/** What `GET /doctor` answers. */
export type Diagnosis = {
  readonly node: string;
  /** Milliseconds since the epoch by this node's clock. */
  readonly now: number;
  readonly checks: readonly Check[];
};
