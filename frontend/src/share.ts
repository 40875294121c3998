// Links that carry a program in their fragment: `#program=VERSION.CHECKSUM.PROGRAM`.
//
// PROGRAM is UTF-8, deflated (RFC 1951), in base64url (RFC 4648, section 5, without padding);
// CHECKSUM is the CRC-32 of the deflated bytes, so that a link that was cut is known as such.

const NAME = "program=";
const VERSION = "1";
/** Characters of a fragment: longer links are cut by mail and chat programs. */
export const LONGEST_LINK = 16_000;
/** Bytes of a program. */
export const LONGEST_PROGRAM = 100_000;

/** What is wrong with a link, as the reader is told it. */
export class LinkError extends Error {}

const DAMAGED =
  "This link is damaged: a part of it was cut off or changed. Ask for the whole link once more.";
const TOO_OLD =
  "This browser is too old for links that carry a program. Update it, or use another one.";
const TOO_LONG = "This link carries a longer program than the playground takes.";

/** Returns the fragment, without its `#`, that carries a program. */
export async function toFragment(program: string): Promise<string> {
  const bytes = new TextEncoder().encode(program);
  const packed = await through(
    bytes,
    () => new CompressionStream("deflate-raw"),
    Number.POSITIVE_INFINITY,
  );
  const fragment = `${NAME}${VERSION}.${checksum(packed)}.${toBase64(packed)}`;
  if (bytes.length > LONGEST_PROGRAM || fragment.length > LONGEST_LINK) {
    throw new LinkError("This program is too long for a link. Download it, and send the file.");
  }
  return fragment;
}

/** Returns the program that a fragment carries, or null if it is a fragment of another kind. */
export async function fromFragment(fragment: string): Promise<string | null> {
  const text = fragment.replace(/^#/, "").replace(/^program%3D/i, NAME); // as some programs send it
  if (!text.startsWith(NAME)) return null;
  if (text.length > LONGEST_LINK) throw new LinkError(TOO_LONG);
  const [version, sum, packed, ...more] = text.slice(NAME.length).split(".");
  if (version !== VERSION && /^\d+$/.test(version ?? "")) {
    throw new LinkError(
      `This link is of version ${version}; the playground of this site reads version ${VERSION}.`,
    );
  }
  const bytes = fromBase64(packed ?? "");
  if (version !== VERSION || more.length || !bytes || checksum(bytes) !== sum) {
    throw new LinkError(DAMAGED);
  }
  try {
    const unpacked = await through(
      bytes,
      () => new DecompressionStream("deflate-raw"),
      LONGEST_PROGRAM,
    );
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(unpacked);
  } catch (error) {
    throw error instanceof LinkError ? error : new LinkError(DAMAGED);
  }
}

/** Sends bytes through a stream, and ends with a LinkError as soon as too many come out. */
async function through(
  bytes: Uint8Array<ArrayBuffer>,
  make: () => GenericTransformStream,
  most: number,
): Promise<Uint8Array<ArrayBuffer>> {
  let stream: GenericTransformStream;
  try {
    stream = make();
  } catch {
    throw new LinkError(TOO_OLD);
  }
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    parts.push(next.value);
    length += next.value.length;
    if (length > most) {
      await reader.cancel().catch(() => {});
      throw new LinkError(TOO_LONG);
    }
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function toBase64(bytes: Uint8Array): string {
  const binary = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> | null {
  if (!/^[\w-]+$/.test(text)) return null;
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
  } catch {
    return null;
  }
}

/** CRC-32 as in RFC 1952, section 8, in eight hexadecimal digits. */
export function checksum(bytes: Uint8Array): string {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return (~sum >>> 0).toString(16).padStart(8, "0");
}
