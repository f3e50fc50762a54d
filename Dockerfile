# fissura serve on a CPU: `docker build -t fissura .`, then `docker compose up`; docs/serve.md.
FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/fissura
ENV PATH=/opt/fissura/bin:$PATH
WORKDIR /build
COPY constraints.txt ./
# The build of torch for CPUs is 200 MB; the one of the public index brings CUDA along, 5 GB.
RUN grep '^torch==' constraints.txt > torch.txt \
    && pip install --index-url https://download.pytorch.org/whl/cpu -r torch.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --constraint constraints.txt '.[serve,heic]'

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 fissura \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin fissura \
    && install -d -o 10001 -g 10001 /photos
COPY --from=build /opt/fissura /opt/fissura
# Everything that is written goes to /photos and /tmp; the rest may be mounted read-only.
ENV PATH=/opt/fissura/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    TMPDIR=/tmp MPLCONFIGDIR=/tmp/matplotlib
USER 10001:10001
WORKDIR /photos
VOLUME ["/photos"]
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
# Without FISSURA_TOKEN it refuses to listen beyond the container.
ENTRYPOINT ["fissura", "serve"]
CMD ["/photos", "--host", "0.0.0.0", "--port", "8000"]
