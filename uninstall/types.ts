/** What is taken away from a node, and how it went. Data only. */

/** One thing of weft's on this node: what, and how many of it, or why it could not be taken away. */
export type Removal =
  | { readonly kind: 'removed'; readonly what: string }
  | { readonly kind: 'left'; readonly what: string; readonly why: string }
  | { readonly kind: 'failed'; readonly what: string; readonly error: string };

/** Where things of the host are to be found from here; in a container they are mounted below a folder. */
export type Places = {
  readonly runDir: string;
  /** In runDir: what settings of the kernel were before we changed them. */
  readonly sysctlRecord: string;
  readonly stateDir: string;
  readonly cniBinDir: string;
  readonly cniConfDir: string;
  /** Sockets of wireguard-go. */
  readonly wireguardDir: string;
};
