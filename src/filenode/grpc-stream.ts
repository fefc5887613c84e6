import type { ServerDuplexStream } from "@grpc/grpc-js";
import type { v1 } from "../wire/index.js";
import type { FileNode, PeerInfo } from "./api.js";

/** Calls of one stream that may be under way before no more is read from it. */
const UNDER_WAY_MAX = 256;
/** Answers that may wait for a slow reader before no more is read from it. */
const UNSENT_MAX = 64;

/**
 * One FileService.Session stream as a channel of the file node. A client that does not read its answers is not read
 * from either: what it can make this node hold is bounded by its calls under way.
 */
export function serveStream(
  node: FileNode,
  peer: PeerInfo,
  stream: ServerDuplexStream<v1.FileRequest, v1.FileResponse>,
): void {
  let underWay = 0;
  let ended = false;
  let open = true;
  let paused = false;

  const regulate = () => {
    const full = underWay >= UNDER_WAY_MAX || stream.writableLength >= UNSENT_MAX;
    if (full === paused) return;
    paused = full;
    if (full) stream.pause();
    else stream.resume();
  };
  const send = (response: v1.IFileResponse) => {
    if (open) stream.write(response as v1.FileResponse);
  };
  const channel = node.connect(peer, send);
  const close = () => {
    if (!open) return;
    open = false;
    channel.close();
  };

  stream.on("data", (request: v1.FileRequest) => {
    underWay += 1;
    regulate();
    void channel.call(request).then((response) => {
      underWay -= 1;
      send(response);
      regulate();
      if (ended && underWay === 0) finish();
    });
  });
  const finish = () => {
    if (open) stream.end();
    close();
  };
  stream.on("drain", regulate);
  stream.on("end", () => {
    ended = true;
    if (underWay === 0) finish();
  });
  stream.on("cancelled", close);
  stream.on("error", close);
  stream.on("close", close);
}
