/** This node's key, made anew where an older Node holds it. */
import { type LoadedKey, loadKey, renewKey } from '../discovery/keystore.ts';
import { readMachineId } from './machine.ts';

export type Identity = {
  readonly key: () => LoadedKey;
  /**
   * Throws away our key, whose `reason` is for people; the mesh takes the new one at the next pass.
   * False where that was done a short while ago: somebody copies our keys as we make them.
   */
  readonly renew: (reason: string) => boolean;
};

const RENEW_MS = 600_000;

/** Throws where the key file is damaged: it is never silently replaced. */
export function openIdentity(dir: string, nodeName: string): Identity {
  const owner = { dir, nodeName, machineId: readMachineId() };
  let key = loadKey(owner);
  let renewedAt = Number.NEGATIVE_INFINITY;
  return {
    key: () => key,
    renew: reason => {
      if (performance.now() - renewedAt < RENEW_MS) return false;
      renewedAt = performance.now();
      key = renewKey(owner, reason);
      return true;
    },
  };
}
