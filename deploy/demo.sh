#!/usr/bin/env bash
# A whole federation on this machine: installs what is missing, builds, starts a coordinator and
# hospitals over mutual TLS, trains, pulls the model, predicts, and says where everything lies.
#
#   deploy/demo.sh [--sites N] [--rounds R] [--arch A] [--data DIR] [--keep DIR]
#
#   --sites N    hospitals (3)
#   --rounds R   rounds (8)
#   --arch A     simple_cnn, resnet18, resnet18_gn, vgg16 or vgg16_bn (resnet18)
#   --data DIR   DIR/1 … DIR/N hold the hospitals' images, each with the folders covid, normal and
#                pneumonia or a manifest.csv; default: synthetic phantoms, another kind at each hospital
#   --keep DIR   a new or empty folder to put it all in (default: a new one in /tmp)
#
# Everything it starts it stops, also on Ctrl-C. The folder stays.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

sites=3 rounds=8 arch=resnet18 data="" work=""
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || [ "$1" = --help ] || { echo "$0: $1 wants a value" >&2; exit 2; }
  case "$1" in
    --sites) sites=$2 ;;
    --rounds) rounds=$2 ;;
    --arch) arch=$2 ;;
    --data) data=$(cd "$2" && pwd) ;;
    --keep) mkdir -p "$2" && work=$(cd "$2" && pwd) ;;
    --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) echo "$0: unknown option $1 (see --help)" >&2; exit 2 ;;
  esac
  shift 2
done
[[ $sites =~ ^[1-9][0-9]?$ ]] || { echo "$0: --sites wants 1 to 99" >&2; exit 2; }

step() { printf '\n== %s\n' "$*"; }

step "Packages and build (the first time takes some minutes)"
"$root/deploy/install_packages.sh" build
cd "$root"
cmake --preset release >/dev/null
cmake --build --preset release --target consilium-server consilium-ctl consilium-client
export PATH="$root/build/release/bin:$PATH"

[ -z "$work" ] || [ -z "$(ls -A "$work")" ] || { echo "$0: --keep: $work is not empty" >&2; exit 2; }
work=${work:-$(mktemp -d /tmp/consilium-demo.XXXXXX)}
cd "$work"
pids=()
stop() {
  trap - EXIT INT TERM
  [ ${#pids[@]} -eq 0 ] || { kill "${pids[@]}" 2>/dev/null || true; wait "${pids[@]}" 2>/dev/null || true; }
}
trap stop EXIT
trap 'stop; exit 130' INT TERM

step "A federation: CA, keys, database"
# Two ports that are free at this moment.
free_port() {
  local port
  while port=$((20000 + RANDOM % 20000)); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}
port=$(free_port)
enrol_port=$(free_port)
consilium-server init --dir coordinator --federation demo --host localhost \
  --port "$port" --enrol-port "$enrol_port"
consilium-server serve --dir coordinator --listen "127.0.0.1:$port" \
  --enrol "127.0.0.1:$enrol_port" 2> coordinator.log &
pids+=($!)
for _ in $(seq 100); do grep -q listening coordinator.log && break; sleep 0.1; done
grep -q listening coordinator.log || { cat coordinator.log >&2; exit 1; }
ctl() { consilium-ctl --dir coordinator/admin "$@"; }

step "$sites hospitals: images, invitation, joining"
cores=$(nproc)
threads=$((cores / sites > 0 ? cores / sites : 1))
for i in $(seq "$sites"); do
  name=hospital-$i
  images=${data:+$data/$i}
  if [ -z "$images" ]; then
    images=$work/data/$name
    consilium-client data synth --output "$images" --site $((i - 1)) --images 120 --seed "$i"
  fi
  line=$(ctl invite "$name" 2>/dev/null)
  echo "  $(sed "s/--token [0-9a-f]*/--token …/" <<< "$line")"
  $line --data "$images" --threads "$threads" >/dev/null
done
ctl sites

step "Each hospital's agent, a process of its own"
for i in $(seq "$sites"); do
  consilium-client start --dir "hospital-$i" 2> "hospital-$i.log" &
  pids+=($!)
done

step "A run of $rounds rounds of $arch"
cat > plan.yaml <<EOF
name: demo
seed: 1
rounds: $rounds
quorum: {fraction: 1.0}
round_deadline_seconds: 3600
model:
  architecture: $arch
  input_size: 64
training:
  local_epochs: 1
  batch_size: 8
  learning_rate: 0.01
  schedule: cosine
  class_weights: inverse
  augmentation: {rotation_degrees: 5, shift: 0.03}
EOF
run=$(ctl run submit plan.yaml)
# In the background, so that a signal to this script is acted on at once.
consilium-ctl --dir coordinator/admin run watch "$run" &
pids+=($!)
wait $!
ctl run show "$run" > run.txt

step "hospital-1 pulls the aggregated model and predicts its own images"
consilium-client pull --dir hospital-1
images=${data:+$data/1}
mapfile -t some < <(find "${images:-$work/data/hospital-1/images}" -type f \
  \( -iname '*.png' -o -iname '*.jpg' -o -iname '*.jpeg' \) | sort | head -n 8)
if [ ${#some[@]} -gt 0 ]; then
  consilium-client predict --dir hospital-1 "${some[@]}"
else
  echo "no image below $images to predict"
fi

step "Where everything lies: $work"
cat <<EOF
  coordinator/        CA (ca/), admin's identity (admin/), database, models (blobs/)
  hospital-1/ …       key, certificate, site.yaml, models/pulled.safetensors
  run.txt             the run: every task, every round, scores by site and class
  plan.yaml, *.log    what was asked for, and what each process said
Research use only: nothing here is validated for any patient.
EOF
