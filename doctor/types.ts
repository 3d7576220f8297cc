/** What a doctor is told of a node, and what it says. Data only. */
import type { StatusReport } from '../agent/report.ts';
import type { Right } from '../discovery/rights.ts';

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

export type NodeFacts = {
  readonly status: StatusReport;
  /** `6.1.0-18-amd64`. */
  readonly kernelRelease: string;
  /** Our nft tables as the kernel has them. */
  readonly tables: { readonly mesh: boolean; readonly spoofing: boolean };
  readonly antiSpoofing: boolean;
  /** Parts of the kernel that are loaded or built in, as far as /sys/module tells. */
  readonly modules: Readonly<Record<string, boolean>>;
  /** Below /proc/sys/net; undefined: there is no such key. */
  readonly sysctls: Readonly<Record<string, string | undefined>>;
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
};

/** What `GET /doctor` answers. */
export type Diagnosis = {
  readonly node: string;
  /** Milliseconds since the epoch by this node's clock. */
  readonly now: number;
  readonly checks: readonly Check[];
};
