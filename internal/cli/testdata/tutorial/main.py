"""A stand-in for the app of a tutorial. It has its database's connection by names of
its own, makes its table when it starts, and listens where its command says."""

import os
import socket

import schemas
from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import Column, Integer, String, create_engine
from sqlalchemy.orm import Session, declarative_base, sessionmaker

user, password, host = (os.environ[name] for name in ("username", "password", "endpoint"))
engine = create_engine(f"postgresql://{user}:{password}@{host}:5432/ecs")
sessions = sessionmaker(bind=engine)
Base = declarative_base()


class Book(Base):
    __tablename__ = "books"
    id = Column(Integer, primary_key=True)
    name = Column(String)
    author = Column(String)


Base.metadata.create_all(engine)
app = FastAPI()


def session():
    with sessions() as opened:
        yield opened


@app.get("/")
def home():
    return {"greeting": os.getenv("GREETING", "hello"), "host": socket.gethostname()}


@app.post("/books", response_model=schemas.Book)
def add(book: schemas.NewBook, db: Session = Depends(session)):
    row = Book(name=book.name, author=book.author)
    db.add(row)
    db.commit()
    return row


@app.get("/books/{name}", response_model=schemas.Book)
def find(name: str, db: Session = Depends(session)):
    row = db.query(Book).filter(Book.name == name).first()
    if row is None:
        raise HTTPException(404)
    return row
