#!/bin/bash
# The batch job of docs/grid.md, word for word but for its sizes, on two nodes that one machine plays: network namespaces
# with an address each, which see the same files. `srun` and `hostname` are played, too; Ray and the grid are real.
#
#     sudo benchmarks/slurm.sh           # with `statewise` and `ray` on PATH; five minutes, needs ip
#
# The job is asked to end after some seconds, as SLURM does before its time is over, then submitted again; the result is
# compared with an undisturbed grid of the same runs on this machine.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'ip netns del sw1 2>/dev/null; ip netns del sw2 2>/dev/null; rm -rf "$work"' EXIT

for n in 1 2; do ip netns add sw$n; done
ip link add sw1 netns sw1 type veth peer name sw2 netns sw2
for n in 1 2; do
  ip -n sw$n addr add 10.99.0.$n/24 dev sw$n
  ip -n sw$n link set sw$n up
  ip -n sw$n link set lo up
  ip -n sw$n route add default dev sw$n  # by which Ray finds its own address
done

mkdir "$work/bin"
cat > "$work/bin/hostname" <<'EOF'
#!/bin/bash
[ "${1:-}" = --ip-address ] && echo 10.99.0.1 || echo node1
EOF
# The node with --nodelist is the first, the one with --exclude the second.
cat > "$work/bin/srun" <<'EOF'
#!/bin/bash
node=sw1
while [[ $1 == --* ]]; do [[ $1 == --exclude=* ]] && node=sw2; shift; done
exec ip netns exec $node "$@"
EOF
chmod +x "$work"/bin/*

cat > "$work/spec.toml" <<'EOF'
tasks = ["SafetySwimmerVelocity-v1"]
methods = ["sac-alam", "sac-lag"]
seeds = [0, 1]
preset = "standard"
[fields]
total_steps = 60_000
warmup_steps = 5_000
eval_interval = 20_000
checkpoint_interval = 10_000
eval_envs = 2
EOF

sed -n '/^### SLURM/,/^```$/p' "$here/../docs/grid.md" | sed -n '/^#!\/bin\/bash/,/^```$/p' | sed '$d' |
  sed -e 's/--nodes=4/--nodes=2/; s/--nodes=3 --ntasks=3/--nodes=1 --ntasks=1/; s/--cpus-per-task=32/--cpus-per-task=1/; s/--num-cpus=32/--num-cpus=1/' \
      -e "s#grid standard#grid $work/spec.toml#; s#/shared/runs/standard#$work/grid#" > "$work/job.sh"
cat "$work/job.sh"

mkdir "$work/1" "$work/2"
submit() {  # the batch shell runs on the first node; what it started ends with it
  PATH="$work/bin:$PATH" RAY_TMPDIR="$work/$1" setsid ip netns exec sw1 bash "$work/job.sh" > "$work/job-$1.log" 2>&1 &
  job=$!
}
finish() { pkill -KILL -s "$job" || true; pkill -KILL -f "$work/[12]/" || true; sleep 2; }

submit 1
for _ in $(seq 120); do sleep 1; kill -0 $job || break; ls "$work"/grid/*/*/*/checkpoints/step-*.safetensors > /dev/null 2>&1 && break; done
echo "checkpoints at the first one's appearance: $(ls "$work"/grid/*/*/*/checkpoints 2> /dev/null | grep -c safetensors)"
kill -TERM $job || true
wait $job || echo "the job ended with status $?"
finish
tail -20 "$work/job-1.log"
submit 2
wait $job && echo "the job submitted again ended with status 0"
finish
tail -3 "$work/job-2.log"
grep -ho "ip=10.99.0.[12]\|10.99.0.[12]" "$work"/job-*.log | sort | uniq -c || true
statewise grid "$work/spec.toml" --root "$work/calm" > "$work/calm.log"
cd "$work/grid"
for file in $(find . -name 'step-*60416*.safetensors'); do
  cmp "$file" "$work/calm/$file" && echo "same bytes: $file"
done
