import { connect } from "node:http2";

/** A gRPC message: flag, length, body. */
export function framed(body: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

/** Calls a method of the peer service with raw bytes; answers the gRPC status, or "closed". */
export async function callRaw(port: number, method: string, bytes: Buffer): Promise<string> {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  try {
    return await new Promise<string>((resolve) => {
      const stream = session.request({
        ":method": "POST",
        ":path": `/holdfast.v1.Peer/${method}`,
        "content-type": "application/grpc",
        te: "trailers",
      });
      let status = "closed";
      const note = (headers: Record<string, unknown>) => {
        const said = headers["grpc-status"];
        if (typeof said === "string") status = said;
      };
      stream.on("response", note);
      stream.on("trailers", note);
      stream.on("error", () => {});
      stream.on("close", () => resolve(status));
      stream.resume();
      stream.end(bytes);
    });
  } finally {
    session.destroy();
  }
}
