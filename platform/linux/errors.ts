/** What the kernel or a program of its tools refused, with the errno's name as code. */
export class LinuxError extends Error {
  /** `EEXIST`, `ENODEV`, …; `EFAILED` where a program gave no errno. */
  readonly code: string;
  constructor(code: string, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

const coded =
  (...codes: readonly string[]) =>
  (error: unknown): boolean =>
    error instanceof LinuxError && codes.includes(error.code);

export const isExists = coded('EEXIST');

/** The thing, or the link it is on, is not there. */
export const isNotFound = coded('ENOENT', 'ENODEV', 'ESRCH', 'EADDRNOTAVAIL', 'ENXIO');

/** What a lookup answers where a packet would leave by no link: no route, unreachable, prohibit, blackhole. */
export const isNoRoute = coded('ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL');

/** The kernel does not know this kind. */
export const isUnsupported = coded('EOPNOTSUPP', 'ENOTSUP', 'EAFNOSUPPORT', 'EPROTONOSUPPORT');
