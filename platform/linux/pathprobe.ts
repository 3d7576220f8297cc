/** One question of an exact size that nobody may fragment, asked by the CNI binary (cni/shim/probe.c). */
import { PROBE_PORT } from '../../constants.ts';
import type { Ip } from '../../types.ts';
import { LinuxError } from './errors.ts';
import { countingExec } from './exec.ts';

export type PathQuestion = {
  readonly source: Ip;
  readonly target: Ip;
  /** Bytes of the packet inside the tunnel, its headers included. */
  readonly size: number;
  readonly tries: number;
  /** Of each try. */
  readonly ms: number;
};

const exec = countingExec(() => {});

/** The binary says nothing where no try was answered. */
const UNANSWERED = /: exit 1$/;

/** Whether it was answered. Rejects where it cannot be asked. */
export async function askPath(
  program: string,
  { source, target, size, tries, ms }: PathQuestion,
): Promise<boolean> {
  try {
    await exec([program, 'probe', source, target, ...[PROBE_PORT, size, tries, ms].map(String)]);
    return true;
  } catch (error) {
    if (error instanceof LinuxError && UNANSWERED.test(error.message)) return false;
    throw error;
  }
}
