/** This node's key, made anew where an older Node holds it. */
import { type LoadedKey, loadKey, renewKey } from '../discovery/keystore.ts';
import { readMachineId } from './machine.ts';

export type Identity = {
  readonly key: () => LoadedKey;
  /** Throws away our key, whose `reason` is for people; the mesh takes the new one at the next pass. */
  readonly renew: (reason: string) => void;
};

/** Throws where the key file is damaged: it is never silently replaced. */
export function openIdentity(dir: string, nodeName: string): Identity {
  const owner = { dir, nodeName, machineId: readMachineId() };
  let key = loadKey(owner);
  return {
    key: () => key,
    renew: reason => {
      key = renewKey(owner, reason);
    },
  };
}
