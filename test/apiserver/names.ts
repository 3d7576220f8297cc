/** Names, label keys and values as Kubernetes allows them. Pure; each function says what is wrong, or undefined. */
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const WORD = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

export const wrongName = (name: string): string | undefined => {
  if (name.length > 253) return 'must be no more than 253 bytes';
  if (!SUBDOMAIN.test(name))
    return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
  return undefined;
};

/** `name` or `prefix/name`. */
export const wrongKey = (key: string): string | undefined => {
  const [name = '', ...prefix] = key.split('/').reverse();
  if (prefix.length > 1)
    return "a valid label key must consist of alphanumeric characters, '-', '_' or '.', with an optional DNS subdomain prefix and '/'";
  if (prefix.length === 1 && prefix[0] === '') return 'prefix part must be non-empty';
  if (prefix.length === 1 && wrongName(prefix[0] as string) !== undefined)
    return `prefix part ${wrongName(prefix[0] as string)}`;
  if (name === '') return 'name part must be non-empty';
  if (name.length > 63) return 'name part must be no more than 63 bytes';
  if (!WORD.test(name))
    return "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
  return undefined;
};

export const wrongLabelValue = (value: string): string | undefined => {
  if (value.length > 63) return 'must be no more than 63 bytes';
  if (value !== '' && !WORD.test(value))
    return "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
  return undefined;
};
