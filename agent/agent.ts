/** One node's agent, running: rooms opened in order, one loop, closed in reverse. */
import { mkdirSync } from 'node:fs';
import { type CniServer, startCni } from '../cni/server.ts';
import type { Config } from '../config.ts';
import {
  CNI_SOCKET,
  DEL_QUEUE_DIR,
  LEASE_DIR,
  READY_MARKER,
  RUN_DIR,
  STATE_DIR,
  STATUS_SOCKET,
} from '../constants.ts';
import { openClient } from '../discovery/client.ts';
import { type Discovery, startDiscovery } from '../discovery/discovery.ts';
import { loadKey } from '../discovery/keystore.ts';
import { openProbes } from '../mesh/probe.ts';
import { type Outcome, openMesh } from '../mesh/reconcile.ts';
import { openKernel } from '../platform/linux/kernel.ts';
import type { Kernel } from '../platform/linux/types.ts';
import { serveTcp, serveUnix } from './http.ts';
import type { Log } from './log.ts';
import { readMachineId } from './machine.ts';
import { openMemos } from './memos.ts';
import { startProber } from './prober.ts';
import { healthRoutes, statusRoutes } from './report.ts';
import { startRunner } from './runner.ts';

export type AgentOptions = {
  readonly config: Config;
  readonly nodeName: string;
  readonly kubeconfig: string | undefined;
  readonly log: Log;
};

/** Resolves with the exit status after SIGTERM or SIGINT. The data path stays as it is. */
export async function runAgent(options: AgentOptions): Promise<number> {
  throw new Error('not yet');
}
