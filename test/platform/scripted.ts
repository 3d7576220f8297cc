/** An Rtnl that answers what it is told to and keeps what it was asked. */
import type { Indexes } from '../../platform/linux/names.ts';
import type { Rtnl } from '../../platform/linux/rtnl.ts';

export type Asked = { readonly type: number; readonly flags: number; readonly hex: string };

export type Script = {
  readonly get?: () => Promise<Buffer | undefined>;
  readonly dump?: () => Promise<readonly Buffer[]>;
};

export type Scripted = { readonly rt: Rtnl; readonly asked: readonly Asked[] };

export function scripted({ get = async () => undefined, dump = async () => [] }: Script = {}): Scripted {
  const asked: Asked[] = [];
  const note = (type: number, flags: number, payload: readonly Uint8Array[]): void => {
    asked.push({ type, flags, hex: Buffer.concat(payload).toString('hex') });
  };
  return {
    asked,
    rt: {
      change: async (_, type, flags, payload) => note(type, flags, payload),
      get: async (_, type, payload) => {
        note(type, 0, payload);
        return get();
      },
      dump: async (_, type, payload) => {
        note(type, 0, payload);
        return dump();
      },
      changes: () => asked.length,
      close: () => {},
    },
  };
}

/** Link 5 is weft-wg. */
export const indexes: Indexes = {
  of: async () => 5,
  name: async index => (index === 5 ? 'weft-wg' : undefined),
  names: async () => new Map([[5, 'weft-wg']]),
};
