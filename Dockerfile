# `deepseq serve` on a CPU. Not root, and the root file system can be read-only:
#
#   docker build -t deepseq .
#   docker run --rm --read-only --tmpfs /tmp -v deepseq:/data -p 127.0.0.1:8000:8000 \
#     -e DEEPSEQ_TOKEN="$(openssl rand -hex 16)" deepseq
#
# The volume /data contains runs/ (trained models), home/ (weights, compiled networks) and spool/
# (clips that are not done, results). Without DEEPSEQ_TOKEN the server refuses to start.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    DEEPSEQ_HOME=/data/home

WORKDIR /opt/deepseq
COPY setup.cfg pyproject.toml constraints.txt README.md LICENSE ./
COPY deepfake_seq ./deepfake_seq
RUN pip install --no-cache-dir --constraint constraints.txt '.[web]' \
    && useradd --system --uid 10001 --no-create-home deepseq \
    && install --directory --owner=10001 /data

USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz')"]
STOPSIGNAL SIGTERM
CMD ["deepseq", "serve", "--host", "0.0.0.0", "--run", "/data/runs", "--spool", "/data/spool"]
