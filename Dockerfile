# crsr-video on the CPU:
#   docker build -t crsr-video .
#   docker run --rm -v "$PWD:/videos" crsr-video enhance holiday.mp4
# PyTorch's site names an index of builds for the CPU, which make the image several GB smaller:
#   docker build --build-arg TORCH_INDEX=... -t crsr-video .
FROM python:3.12-slim AS build
ARG TORCH_INDEX=""
WORKDIR /source
RUN python -m venv /opt/crsr-video
ENV PATH=/opt/crsr-video/bin:$PATH
RUN if [ -n "$TORCH_INDEX" ]; then pip install --no-cache-dir --index-url "$TORCH_INDEX" "torch<2.14"; fi
COPY . .
# The build puts the face models into the package. An image without them would need a network.
RUN pip install --no-cache-dir . && \
    python -c "from crsr_video.track import face_models as f; assert all(s.verified for s in f.status())"

FROM python:3.12-slim
RUN useradd --create-home --uid 1000 crsr && mkdir /videos /work && chown crsr /videos /work
COPY --from=build /opt/crsr-video /opt/crsr-video
ENV PATH=/opt/crsr-video/bin:$PATH PYTHONUNBUFFERED=1
USER 1000
WORKDIR /videos
VOLUME /videos
HEALTHCHECK --interval=5m --timeout=30s CMD ["crsr-video", "--version"]
ENTRYPOINT ["crsr-video"]
CMD ["--help"]
