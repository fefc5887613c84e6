#!/bin/sh
# The fence command of the chaos cluster: kill-node.sh FOLDER NODE. Kills the process of exactly this node and exits with 0
# only when nothing of it is left: no thread that may still be on its way into the kernel, not even as a zombie. A process
# that the kernel cannot end (a frozen file system) is waited for; whoever runs this has a timeout.
# The harness writes FOLDER/NODE.pid when it starts the node and removes it when the process has ended.
folder=$1
node=$2

pid=$(cat "$folder/$node.pid" 2>/dev/null)
if [ ! -e "$folder/$node.pid" ]; then
  echo "$node does not run"
  exit 0
fi
if [ -z "$pid" ]; then
  echo "$node is just being started"
  exit 1
fi
if [ -e "/proc/$pid/cmdline" ] && ! tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF "$folder/$node.yaml"; then
  # Of a process that has ended and was not waited for yet nothing is left but its number.
  if [ -n "$(tr -d '\0' <"/proc/$pid/cmdline")" ]; then
    echo "process $pid is not $node"
    exit 1
  fi
fi
# By this the harness knows that it was the fence, and starts the node again.
echo "$pid" >"$folder/$node.fenced"
kill -9 "$pid" 2>/dev/null
while [ -e "/proc/$pid" ]; do sleep 0.02; done
echo "killed process $pid of $node"
