# docker build -t unisono . && docker run --rm -p 127.0.0.1:8000:8000 -e UNISONO_API_KEY=... unisono
FROM python:3.12-slim AS build
WORKDIR /src
# a compiler for the kernels of src/unisono/lm/native; without it torch does their work, more slowly
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/unisono
COPY constraints.txt ./
# torch first and alone: the CPU build, from PyTorch's own index
RUN /opt/unisono/bin/pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu \
    "$(sed -n 's/^torch==/torch==/p' constraints.txt)"
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/unisono/bin/pip install --no-cache-dir -c constraints.txt '.[serve]'

FROM python:3.12-slim
RUN useradd --system --create-home --home-dir /var/lib/unisono --uid 10001 unisono
COPY --from=build /opt/unisono /opt/unisono
USER unisono
ENV PATH=/opt/unisono/bin:$PATH UNISONO_HOME=/var/lib/unisono OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1
VOLUME /var/lib/unisono
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["unisono"]
CMD ["serve", "--host", "0.0.0.0"]
