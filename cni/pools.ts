/** How full a node's podCIDRs are, as its status tells it. Pure. */

/** `size` and `free` are decimal digits: an IPv6 range has more than a number can count. */
export type PoolFigures = {
  readonly cidr: string;
  readonly size: string;
  readonly used: number;
  readonly cooling: number;
  readonly free: string;
};

/** 0 to 1. */
export const fillOf = ({ used, size }: PoolFigures): number => used / Math.max(1, Number(size));

/** Not one more pod gets an address: those that cool down are given out too, where nothing else is free. */
export const isFull = ({ used, size }: PoolFigures): boolean => used >= Number(size);

export const poolText = ({ cidr, used, size }: PoolFigures): string => {
  const number = Number(size);
  return `${cidr}: ${used} of ${number > 1e6 ? 'very many' : number} addresses used`;
};

export const POOL_CURE =
  'fewer pods on this node, or larger podCIDRs for Nodes still to come (--node-cidr-mask-size of kube-controller-manager)';
